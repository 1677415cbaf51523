"""The pages of the Backend, requested like a browser."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from attrs import evolve
from cicd_system.backend.guard import TOKEN_COOKIE
from cicd_system.backend.run_page import places_of, timeline_of
from hypothesis import given

from cicd_common.api.request import Artifact, ArtifactUploadRequest, ExecutionLogUpload
from cicd_common.model import ExecutionLog
from cicd_common.store import ExecutionStore
from cicd_common.testing.strategies import executions
from tests.support.examples.backend_in_process import TOKEN, Backend, simple

COOKIE = {"Cookie": f"{TOKEN_COOKIE}={TOKEN}"}
NOBODY = uuid4()


@pytest.fixture
def backend():
    with ExecutionStore("sqlite://") as store:
        backend = Backend(store)
        yield backend
        backend.close()


def browse(backend, path, method="GET", **arguments):
    """Send a request with the cookie and without the header."""
    headers = {**COOKIE, "Authorization": "", "Origin": "http://localhost", **arguments.pop("headers", {})}
    return backend.ask(method, path, headers=headers, **arguments)


def started(backend, pipeline=None):
    """Start a run; returns its id and the id of its first job."""
    job = backend.start(pipeline or simple("app", "first", "second"))
    return backend.queue.jobs[-1].pipeline_execution_id, job


class TestPages:
    def test_home_lists_pipelines_with_their_last_runs(self, backend):
        assert "No pipeline has run yet." in browse(backend, "/").text
        run, _ = started(backend)
        page = browse(backend, "/").text
        assert f'<a href="/run/{run}">run 1</a>' in page
        assert '<span class="status PENDING">PENDING</span>' in page

    def test_a_run_shows_its_jobs_and_why(self, backend):
        """The page updates or reloads itself until the run has ended."""
        run, job = started(backend)
        backend.report(job, 1, "RUNNING")
        page = browse(backend, f"/run/{run}")
        assert "RUNNING: job first is running" in page.text
        assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page.text
        assert f'<main data-events="/run/{run}/events">' in page.text
        assert re.findall('<rect id="([^"]*)" class="([^"]*)"', page.text) == [
            ("job-0-box", "RUNNING"),
            ("job-1-box", "PENDING"),
            ("job-0-bar", "RUNNING"),
            ("job-1-bar", "PENDING"),
        ]
        assert re.search('<span id="stage-0" class="status RUNNING">RUNNING</span>', page.text)
        assert re.search('/cancel" id="cancel"><button>', page.text)
        backend.report(job, 2, "FAILED", exit_code=3)
        page = browse(backend, f"/run/{run}")
        assert "FAILED: job first failed with exit code 3" in page.text
        assert "live.js" not in page.text
        assert "http-equiv" not in page.text
        assert re.search('/cancel" id="cancel" hidden=""><button>', page.text)

    def test_a_log_has_its_colours_and_links_to_its_lines(self, backend):
        """Escape sequences become classes, and what looks like HTML is text."""
        run, job = started(backend)
        backend.report(job, 1, "RUNNING", logs="\x1b[31mred\x1b[0m <b>bold</b>\nsecond\n")
        page = browse(backend, f"/run/{run}/job/{job}").text
        assert '<code><span class="fg1">red</span> &lt;b&gt;bold&lt;/b&gt;</code>' in page
        assert '<span class="line" id="L2"><a href="#L2">2</a><code>second</code>' in page
        assert 'id="L3"' not in page
        assert 'data-seen="1.0.3.0."' in page

    def test_artifacts_are_to_be_downloaded(self, backend):
        """After the end of a job its artifacts are on its page and on the page of the run."""
        pipeline = simple("app", "first", "second")
        (built,) = pipeline.stages[0].jobs
        stage = evolve(pipeline.stages[0], jobs=(evolve(built, artifacts=("dist/*",)),))
        run, job = started(backend, evolve(pipeline, stages=(stage, *pipeline.stages[1:])))
        artifact = Artifact(path="dist/a.whl", size=7, sha256="a" * 64)
        backend.report(job, 1, "RUNNING")
        backend.store.add_artifacts(ArtifactUploadRequest(job_execution_id=job, artifacts=(artifact,)))
        backend.report(job, 2, "SUCCESS", exit_code=0)
        link = f'<a href="/api/artifact/{"a" * 64}" download="a.whl">dist/a.whl</a>, 7 bytes'
        assert f"first: {link}" in browse(backend, f"/run/{run}").text
        assert f"<li>{link}" in browse(backend, f"/run/{run}/job/{job}").text

    def test_what_was_logged_about_a_run_is_shown(self, backend):
        run, job = started(backend)
        logs = [
            ExecutionLog(job_execution_id=job, sequence=0, timestamp=datetime.now(UTC), log_text="INFO <claimed>"),
            ExecutionLog(pipeline_execution_id=run, sequence=0, timestamp=datetime.now(UTC), log_text="INFO canceled"),
        ]
        backend.store.add_logs(ExecutionLogUpload(logs=tuple(logs)))
        page = browse(backend, f"/run/{run}").text
        assert "<b>first</b> <span>INFO &lt;claimed&gt;</span>" in page
        assert "</time> <span>INFO canceled</span>" in page
        backend.store.add_logs(
            ExecutionLogUpload(logs=tuple(evolve(logs[1], id=uuid4(), sequence=each) for each in range(1000)))
        )
        assert f"cicd logs {run} --events" in browse(backend, f"/run/{run}").text

    def test_home_has_a_bounded_number_of_pipelines(self, backend):
        """Edits of a pipeline do not count, and the next page has the remaining pipelines."""
        for number in range(23):
            for _ in range(2):
                backend.store.start(simple(f"pipeline-{number:02}"))
        page = browse(backend, "/").text
        assert re.findall("<h2>(.*)</h2>", page) == [f"pipeline-{number:02}" for number in range(20)]
        (following,) = re.findall(r'href="(/\?after=[^"]*)">More', page)
        page = browse(backend, following).text
        assert re.findall("<h2>(.*)</h2>", page) == ["pipeline-20", "pipeline-21", "pipeline-22"]
        assert f'data-events="/events?{following.partition("?")[2]}"' in page
        assert "More" not in page

    def test_names_are_text(self, backend):
        """No name of a pipeline, a stage or a job is taken for HTML."""
        name = "<script>alert(1)</script>"
        run, _ = started(backend, evolve(simple("app", "<img>"), name=name))
        for path in ("/", f"/run/{run}"):
            page = browse(backend, path).text
            assert "<script>" not in page
            assert "<img" not in page
            assert "&lt;script&gt;" in page

    def test_there_is_nothing_for_unknown_ids(self, backend):
        run, _ = started(backend)
        for path in (f"/run/{NOBODY}", f"/run/{run}/job/{NOBODY}", "/run/x", f"/run/{run}/job/x"):
            assert browse(backend, path).status_code == 404
        assert browse(backend, "/?after=x").status_code == 422

    def test_no_script_but_ours_and_nothing_of_others_is_allowed(self, backend):
        run, job = started(backend)
        for path in ("/", f"/run/{run}", f"/run/{run}/job/{job}", "/sign-in"):
            answer = browse(backend, path)
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert re.findall("script-src ([^;]*);", policy) == re.findall("connect-src ([^;]*);", policy) == ["'self'"]
            assert re.findall("<script.*", answer.text) in ([], ['<script src="/live.js" defer></script>'])
            assert answer.headers["cache-control"] == "no-store"
            assert " style=" not in answer.text

    def test_the_style_is_served(self, backend):
        style = backend.ask("GET", "/style.css")
        assert style.headers["content-type"].startswith("text/css")
        assert ".fg1" in style.text

    def test_the_script_is_served_to_who_is_signed_in(self, backend):
        script = browse(backend, "/live.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "EventSource" in script.text
        assert backend.ask("GET", "/live.js", headers={"Authorization": ""}).status_code == 303


class TestButtons:
    def test_a_run_is_canceled_and_run_again(self, backend):
        """Both buttons redirect to the run."""
        run, _ = started(backend)
        answer = browse(backend, f"/run/{run}/cancel", "POST")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{run}")
        assert backend.store.execution(run).canceled_at is not None
        answer = browse(backend, f"/run/{run}/again", "POST")
        assert answer.status_code == 303
        assert len(backend.queue.jobs) == 2
        assert answer.headers["location"] == f"/run/{backend.queue.jobs[1].pipeline_execution_id}"

    def test_a_button_that_is_pressed_twice_starts_one_run(self, backend):
        """The form has the id of the request; a reload of the page gets another id."""
        run, _ = started(backend)
        ids = [re.findall('name="request_id" value="([^"]*)"', browse(backend, f"/run/{run}").text) for _ in range(2)]
        locations = {
            browse(backend, f"/run/{run}/again", "POST", data={"request_id": each}).headers["location"]
            for (each,) in (ids[0], ids[0], ids[1])
        }
        assert len(locations) == 2
        assert browse(backend, f"/run/{run}/again", "POST", data={"request_id": "x"}).status_code == 422

    @pytest.mark.parametrize(
        "said",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "http://localhost:1234"},
            {"Origin": "null"},
            {"Origin": ""},
        ],
    )
    def test_a_page_of_others_changes_nothing(self, backend, said):
        """A request whose headers name another site is refused."""
        run, _ = started(backend)
        assert browse(backend, f"/run/{run}/cancel", "POST", headers=said).status_code == 403
        assert backend.store.execution(run).canceled_at is None
        assert browse(backend, f"/run/{run}", headers=said).status_code == 200

    def test_behind_a_proxy_a_browser_is_believed(self, backend):
        """A proxy may change the host, so the header Sec-Fetch-Site counts."""
        run, _ = started(backend)
        said = {"Sec-Fetch-Site": "same-origin", "Origin": "https://ci.example.org"}
        assert browse(backend, f"/run/{run}/cancel", "POST", headers=said).status_code == 303


class TestSigningIn:
    def test_one_is_led_there(self, backend):
        """Requests without a valid cookie are redirected."""
        for cookie in ("", f"{TOKEN_COOKIE}=wrong"):
            answer = backend.ask("GET", "/", headers={"Authorization": "", "Cookie": cookie})
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")

    def test_the_token_becomes_a_cookie(self, backend):
        """Other sites and scripts cannot use the cookie."""
        answer = backend.ask("POST", "/sign-in", data={"token": TOKEN}, headers={"Authorization": ""})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{TOKEN_COOKIE}={TOKEN};")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "Secure" not in cookie
        gone = browse(backend, "/sign-out", "POST")
        assert '=""; ' in gone.headers["set-cookie"]

    def test_by_https_the_cookie_is_for_https_alone(self, backend):
        """The header Origin shows that the browser uses https."""
        headers = {"Authorization": "", "Origin": "https://localhost"}
        answer = backend.ask("POST", "/sign-in", data={"token": TOKEN}, headers=headers)
        assert "Secure" in answer.headers["set-cookie"]
        answer = browse(backend, "/sign-out", "POST", headers={**headers, "Sec-Fetch-Site": "same-origin"})
        assert "Secure" in answer.headers["set-cookie"]

    @pytest.mark.parametrize("data", [{"token": "wrong"}, {}, {"token": ["a", TOKEN]}])
    def test_a_wrong_token_is_refused(self, backend, data):
        answer = backend.ask("POST", "/sign-in", data=data, headers={"Authorization": ""})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert "This is not the token" in answer.text

    def test_a_form_is_bounded(self, backend):
        answer = backend.ask("POST", "/sign-in", data={"token": "x" * 20_000}, headers={"Authorization": ""})
        assert answer.status_code == 413


class TestDrawing:
    @given(executions())
    def test_every_job_has_a_box_and_those_it_waits_for_are_before_it(self, run):
        places = places_of(run)
        jobs = [job.job for stage in run.stages for job in stage.jobs]
        assert places.keys() == {job.name for job in jobs}
        assert len(set(places.values())) == len(jobs)
        assert all(places[name][0] + 150 < places[job.name][0] for job in jobs for name in job.dependencies)

    @given(executions())
    def test_bars_are_within_the_scale(self, run):
        """The clocks of the Workers may differ."""
        bars, _ = timeline_of(run, datetime(2026, 1, 31, tzinfo=UTC) + timedelta(hours=3))
        assert bars.keys() == {job.id for stage in run.stages for job in stage.jobs if job.start_time}
        for x, width in bars.values():
            assert 0 <= x < 1000
            assert 1 <= width <= 1000 - x


def test_without_a_token_everybody_looks():
    """Requests to a name of the loopback need no token."""
    with ExecutionStore("sqlite://") as store:
        backend = Backend(store, token=None)
        assert backend.ask("GET", "/").status_code == 200
        assert "Sign out" not in backend.ask("GET", "/").text
        assert backend.ask("GET", "/", headers={"Host": "evil.example"}).status_code == 421
        for origin, status in (("http://evil.example", 403), ("http://localhost", 404)):
            assert backend.ask("POST", f"/run/{NOBODY}/cancel", headers={"Origin": origin}).status_code == status
        backend.close()
