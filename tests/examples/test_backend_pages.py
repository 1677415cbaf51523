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
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage
from cicd_common.testing.strategies import executions
from tests.support.examples.backend_in_process import TOKEN, backend_on, simple, update

NOBODY = uuid4()
NOW = datetime.now(UTC)
NO_HEADER = {"Authorization": ""}


@pytest.fixture
def backend():
    with backend_on() as backend:
        yield backend


def browse(backend, path, method="GET", headers=None, **arguments):
    """Send a request with the cookie and without the header."""
    given = {"Cookie": f"{TOKEN_COOKIE}={TOKEN}", "Origin": "http://localhost", **NO_HEADER, **(headers or {})}
    return backend.ask(method, path, headers=given, **arguments)


def started(backend, pipeline=None):
    """Start a run; returns its id and the id of its first job."""
    job = backend.start(pipeline or simple("app", "first", "second"))
    return backend.queue.jobs[-1].pipeline_execution_id, job


class TestPages:
    def test_home_lists_pipelines_with_their_last_runs(self, backend):
        """Edits of a pipeline do not count, and the next page has the remaining pipelines."""
        assert "No pipeline has run yet." in browse(backend, "/").text
        for number in range(23):
            for _ in range(2):
                run = backend.store.start(simple(f"pipeline-{number:02}")).execution.execution_id
        page = browse(backend, "/").text
        assert re.findall("<h2>(.*)</h2>", page) == [f"pipeline-{number:02}" for number in range(20)]
        (following,) = re.findall(r'href="(/\?after=[^"]*)">More', page)
        page = browse(backend, following).text
        assert re.findall("<h2>(.*)</h2>", page) == ["pipeline-20", "pipeline-21", "pipeline-22"]
        assert f'data-events="/events?{following.partition("?")[2]}"' in page
        assert f'<a href="/run/{run}">run 2</a>' in page
        assert '<span class="status PENDING">PENDING</span>' in page
        assert "More" not in page

    def test_a_run_shows_its_jobs_and_why(self, backend):
        """The page updates or reloads itself until the run has ended."""
        run, job = started(backend)
        backend.report(job, 1, "RUNNING")
        page = browse(backend, f"/run/{run}").text
        assert "RUNNING: job first is running" in page
        assert '<noscript><meta http-equiv="refresh" content="10"></noscript>' in page
        assert f'<main data-events="/run/{run}/events">' in page
        assert re.findall('<rect class="([A-Z]*)"', page) == ["RUNNING", "PENDING"] * 2
        assert f'action="/run/{run}/cancel"' in page
        backend.report(job, 2, "FAILED", exit_code=3)
        page = browse(backend, f"/run/{run}").text
        assert "FAILED: job first failed with exit code 3" in page
        for gone in ("live.js", "http-equiv", "data-events", "/cancel"):
            assert gone not in page

    def test_a_log_has_its_colours_and_links_to_its_lines(self, backend):
        """Escape sequences become classes, and what looks like HTML is text."""
        run, job = started(backend)
        backend.report(job, 1, "RUNNING", logs="\x1b[31mred\x1b[0m <b>bold</b>\nsecond\n")
        page = browse(backend, f"/run/{run}/job/{job}").text
        assert '<code><span class="fg1">red</span> &lt;b&gt;bold&lt;/b&gt;</code>' in page
        assert '<span class="line" id="L2"><a href="#L2">2</a><code>second</code>' in page
        assert 'id="L3"' not in page
        assert 'data-seen="1.0.3.0."' in page

    def test_a_job_that_ends_while_its_log_is_read(self, backend, monkeypatch):
        """Its page is live, so that the end of the log still comes."""
        run, job = started(backend)
        read = backend.store.logs

        def read_and_end(*args, **options):
            text = read(*args, **options)
            backend.store.apply(update(job, 1, "SUCCESS", exit_code=0, logs="last\n"))
            return text

        monkeypatch.setattr(backend.store, "logs", read_and_end)
        page = browse(backend, f"/run/{run}/job/{job}").text
        assert "data-events" in page
        assert "last" not in page

    def test_artifacts_and_events_are_shown(self, backend):
        """After the end of a job its artifacts are on its page and on the page of the run."""
        stage = Stage(name="first", jobs=(Job(name="built", script=("true",), artifacts=("dist/*",)),))
        run, job = started(backend, Pipeline(name="app", repo_url="/repo", stages=(stage,)))
        file = Artifact(path="dist/a.whl", size=7, sha256="a" * 64)
        of_job = ExecutionLog(job_execution_id=job, sequence=0, timestamp=NOW, log_text="INFO <claimed>")
        of_run = ExecutionLog(pipeline_execution_id=run, sequence=0, timestamp=NOW, log_text="INFO canceled")
        backend.store.add_artifacts(ArtifactUploadRequest(job_execution_id=job, artifacts=(file,)))
        backend.store.add_logs(ExecutionLogUpload(logs=(of_job, of_run)))
        backend.report(job, 1, "SUCCESS", exit_code=0)
        link = f'<a href="/api/artifact/{"a" * 64}" download="a.whl">dist/a.whl</a>, 7 bytes'
        page = browse(backend, f"/run/{run}").text
        for text in (f"built: {link}", "<b>built</b> <span>INFO &lt;claimed&gt;</span>", "</time> <span>INFO canceled"):
            assert text in page
        assert f"<li>{link}" in browse(backend, f"/run/{run}/job/{job}").text
        many = tuple(evolve(of_run, id=uuid4(), sequence=number) for number in range(1000))
        backend.store.add_logs(ExecutionLogUpload(logs=many))
        assert f"cicd logs {run} --events" in browse(backend, f"/run/{run}").text

    def test_names_are_text(self, backend):
        """No name of a pipeline, a stage or a job is taken for HTML."""
        name = "<script>alert(1)</script>"
        run, job = started(backend, evolve(simple("app", "<img>"), name=name))
        for path in ("/", f"/run/{run}", f"/run/{run}/job/{job}"):
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
            assert " style=" not in answer.text

    @pytest.mark.parametrize(
        ("path", "kind", "text", "status"),
        [("/style.css", "text/css", ".fg1", 200), ("/live.js", "text/javascript", "EventSource", 303)],
    )
    def test_files_are_served(self, backend, path, kind, text, status):
        """Only the style, which the page for signing in needs, is for everybody."""
        answer = browse(backend, path)
        assert answer.headers["content-type"].startswith(kind)
        assert text in answer.text
        assert backend.ask("GET", path, headers=NO_HEADER).status_code == status


class TestButtons:
    def test_a_run_is_canceled_and_run_again(self, backend):
        """Both buttons redirect to the run. One that is pressed twice starts one run, unless the page was reloaded."""
        run, _ = started(backend)
        ids = [re.findall('name="request_id" value="([^"]*)"', browse(backend, f"/run/{run}").text) for _ in range(2)]
        answer = browse(backend, f"/run/{run}/cancel", "POST")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{run}")
        assert backend.store.execution(run).canceled_at is not None
        data = [{"request_id": each} for (each,) in (ids[0], ids[0], ids[1])]
        answers = [browse(backend, f"/run/{run}/again", "POST", data=each) for each in (*data, None)]
        first, second, third = [f"/run/{job.pipeline_execution_id}" for job in backend.queue.jobs[1:]]
        assert [answer.headers["location"] for answer in answers] == [first, first, second, third]
        assert browse(backend, f"/run/{run}/again", "POST", data={"request_id": "x"}).status_code == 422

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "http://localhost:1234"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": ""}, 403),
            # A proxy may change the host, so the header Sec-Fetch-Site counts.
            ({"Sec-Fetch-Site": "same-origin", "Origin": "https://ci.example.org"}, 303),
        ],
    )
    def test_a_page_of_others_changes_nothing(self, backend, said, status):
        """A request whose headers name another site is refused."""
        run, _ = started(backend)
        assert browse(backend, f"/run/{run}/cancel", "POST", headers=said).status_code == status
        assert (backend.store.execution(run).canceled_at is None) == (status == 403)
        assert browse(backend, f"/run/{run}", headers=said).status_code == 200


class TestSigningIn:
    @pytest.mark.parametrize("cookie", ["", f"{TOKEN_COOKIE}=wrong"])
    def test_one_is_led_there(self, backend, cookie):
        """Requests without a valid cookie are redirected, also those of buttons."""
        for method, path in (("GET", "/"), ("POST", f"/run/{NOBODY}/cancel")):
            answer = backend.ask(method, path, headers={**NO_HEADER, "Cookie": cookie})
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_the_token_becomes_a_cookie(self, backend, scheme):
        """Other sites and scripts cannot use the cookie. By https, which the Origin shows, it is for https alone."""
        headers = {**NO_HEADER, "Origin": f"{scheme}://localhost"}
        answer = backend.ask("POST", "/sign-in", data={"token": TOKEN}, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        value, *attributes = answer.headers["set-cookie"].split("; ")
        assert value == f"{TOKEN_COOKIE}={TOKEN}"
        assert {*attributes} == {"HttpOnly", "Path=/", "SameSite=strict"} | ({"Secure"} if scheme == "https" else set())
        gone = browse(backend, "/sign-out", "POST", headers={**headers, "Sec-Fetch-Site": "same-origin"})
        assert '=""; ' in gone.headers["set-cookie"]
        assert ("Secure" in gone.headers["set-cookie"]) == (scheme == "https")

    @pytest.mark.parametrize(
        ("data", "status"),
        [({"token": "wrong"}, 403), ({}, 403), ({"token": ["a", TOKEN]}, 403), ({"token": "x" * 20_000}, 413)],
    )
    def test_a_wrong_token_is_refused(self, backend, data, status):
        answer = backend.ask("POST", "/sign-in", data=data, headers=NO_HEADER)
        assert (answer.status_code, "set-cookie" in answer.headers) == (status, False)
        assert ("This is not the token" in answer.text) == (status == 403)


@given(executions())
def test_what_is_drawn_of_a_run(run):
    """Jobs have boxes right of those they wait for, and bars within the scale, although clocks of Workers differ."""
    places = places_of(run)
    jobs = [job for stage in run.stages for job in stage.jobs]
    assert places.keys() == {job.job.name for job in jobs}
    assert len(set(places.values())) == len(jobs)
    assert all(places[name][0] + 150 < places[job.job.name][0] for job in jobs for name in job.job.dependencies)
    bars, _ = timeline_of(run, datetime(2026, 1, 31, tzinfo=UTC) + timedelta(hours=3))
    assert bars.keys() == {job.id for job in jobs if job.start_time}
    for x, width in bars.values():
        assert 0 <= x < 1000
        assert 1 <= width <= 1000 - x


def test_without_a_token_everybody_looks():
    """Requests to a name of the loopback need no token."""
    with backend_on(token=None) as backend:
        assert backend.ask("GET", "/").status_code == 200
        assert "Sign out" not in backend.ask("GET", "/").text
        assert backend.ask("GET", "/", headers={"Host": "evil.example"}).status_code == 421
        for origin, status in (("http://evil.example", 403), ("http://localhost", 404)):
            assert backend.ask("POST", f"/run/{NOBODY}/cancel", headers={"Origin": origin}).status_code == status
