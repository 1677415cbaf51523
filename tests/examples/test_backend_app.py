"""The Backend as an ASGI application: its routes, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from hashlib import sha256
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from cicd_system.backend import app as application
from cicd_system.backend.app import MAX_CONTENT
from cicd_system.messages import RecentRuns

from cicd_common import ContractError, converter
from cicd_common.api.request import Artifact, ArtifactUploadRequest
from cicd_common.api.response import (
    JobReportResponse,
    PipelineReportResponse,
    StageReportResponse,
)
from cicd_common.artifacts import ArtifactStore
from cicd_common.dto import JobExecutionDTO
from cicd_common.logging import capture_logs
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import BusyError, FullError, StoreError, UnavailableError
from tests.support.examples.backend_in_process import JSON, TOKEN, Backend, backend_on, order, problem, simple, update
from tests.support.examples.system_checks import rows_of
from tests.support.examples.waiting import DEADLINE, until

EXECUTE, UPDATE, UPLOAD = "/api/pipeline/execute", "/api/job/status", "/api/job/artifact/upload"
POSTS = (EXECUTE, UPDATE, UPLOAD)
BOUND = 4096
NOBODY = "7b0f6f4e-4a5c-4c57-9a46-3f6d1a0c2b11"  # An id that nothing has.


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A Backend that accepts only small bodies, with one run; other tests use other names of pipelines."""
    file = tmp_path_factory.mktemp("backend") / "cicd.db"
    with backend_on(f"sqlite:///{file}") as backend, pytest.MonkeyPatch.context() as patch:
        patch.setattr("cicd_system.backend.reading.MAX_BODY", BOUND)
        backend.job = backend.start(simple("stays", "first", "then"))
        backend.url = f"sqlite:///{file}"
        yield backend


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Health is not called busy because the machine is."""
    monkeypatch.setattr(application, "_HEALTH_SECONDS", DEADLINE)


@pytest.fixture
def untouched(shared):
    """A Backend that must have the same rows after a test as before, and must not have sent anything."""
    rows, sent = sorted(rows_of(shared.url)), shared.queue.asked
    yield shared
    assert sorted(rows_of(shared.url)) == rows
    assert shared.queue.asked == sent


def test_pages_of_logs(shared, monkeypatch):
    """A page has at most `limit` pieces and may be empty; `tail` returns the end of the log, up to a bound."""

    def page(query=""):
        found = shared.read(JobExecutionDTO, "GET", f"/api/job/logs/{job}{query}")
        return found.logs, found.last_sequence

    job = shared.start(simple("logs"))
    for number in (1, 2, 3):
        shared.report(job, number, "RUNNING", logs=f"{number}\n")
    assert page("?after=1&limit=1") == ("2\n", 2)
    assert page("?after=9") == ("", 9)
    assert page("?tail=2") == ("3\n", 3)
    monkeypatch.setattr(application, "MAX_TAIL", 2)
    assert page("?tail=6") == ("3\n", 3)


NAMES = ["a/b", "100%", "what?", "a%2Fb", "stage", "\u65e5\u672c \U0001f680", "..", "a+b", "#;&=", "\ufffd"]


class TestReports:
    """Reports of past runs by the names of pipelines, stages and jobs."""

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name(self, shared, name):
        """Every name can be used at every level."""
        stages = (Stage(name=name, jobs=(Job(name=name, script=("true",)),)),)
        shared.start(Pipeline(name=name, repo_url="/", stages=stages))
        # A part of a path that is a dot or two is taken away on the way, unless it is encoded.
        part = quote(name, safe="").replace(".", "%2E")
        pipeline = shared.read(PipelineReportResponse, "GET", f"/api/report/pipeline/{part}")
        stage = shared.read(StageReportResponse, "GET", f"/api/report/pipeline/{part}/stage/{part}")
        job = shared.read(JobReportResponse, "GET", f"/api/report/pipeline/{part}/stage/{part}/job/{part}")
        assert (pipeline.pipeline_name, stage.stage_name, job.job_name) == (name, name, name)
        assert [each.run_number for each in job.executions] == [1]

    def test_parameters(self, shared):
        """The parameters select runs, and the cursor leads to the next page."""

        def report(query):
            return shared.read(PipelineReportResponse, "GET", f"/api/report/pipeline/parameters{query}")

        def runs(query):
            return [each.run_number for each in report(query).executions]

        first, *_ = [shared.start(simple("parameters")) for _ in range(3)]
        shared.report(first, 1, "FAILED")
        assert [runs(query) for query in ("", "?run_number=2", "?status=FAILED")] == [[3, 2, 1], [2], [1]]
        assert runs(f"?limit=2&cursor={quote(report('?limit=2').next_cursor)}") == [1]

    def test_last_runs(self, shared):
        """The last run of each pipeline is returned, sorted by name."""
        for name in ("last b", "last a", "last a"):
            shared.start(simple(name))
        found = shared.read(RecentRuns, "GET", "/api/runs").reports
        last = {each.pipeline_name: [run.run_number for run in each.executions] for each in found}
        assert len(last) == len(found)
        assert (last["last a"], last["last b"]) == ([2], [1])
        assert list(last).index("last a") < list(last).index("last b")


QUERIES = {
    "word for a number": ("limit=ten", "#/limit", "type"),
    "other digits": ("limit=%D9%A1", "#/limit", "type"),
    "zeros in front": ("limit=007", "#/limit", "type"),
    "empty": ("limit=", "#/limit", "type"),
    "4,400 digits": ("limit=" + "9" * 4400, "#/limit", "type"),
    "too small": ("limit=0", "#/limit", "value"),
    "twice": ("limit=1&limit=1", "#/limit", "value"),
    "unknown with a slash": ("a/b~c=1", "#/a~1b~0c", "unknown"),
    "no status": ("status=DONE", "#/status", "value"),
    "no cursor": ("cursor=%00%FF", "#/cursor", "value"),
}


class TestQueries:
    """Parameters of queries are read as strictly as JSON documents."""

    @pytest.mark.parametrize(("query", "pointer", "code"), QUERIES.values(), ids=QUERIES)
    def test_report(self, untouched, query, pointer, code):
        """The problem names the parameter and does not repeat its value."""
        said = problem(untouched.ask("GET", f"/api/report/pipeline/stays?{query}"), 422)
        assert [(each["pointer"], each["code"]) for each in said["errors"]] == [(pointer, code)]
        assert "DONE" not in str(said)

    @pytest.mark.parametrize(
        "query", ["after=x", "tail=x", "after=-1", "limit=0", "limit=1001", "status=FAILED", "after=1&after=1"]
    )
    def test_logs(self, untouched, query):
        """The query of a log is read as strictly as that of a report."""
        (error,) = problem(untouched.ask("GET", f"/api/job/logs/{untouched.job}?{query}"), 422)["errors"]
        assert query.startswith(error["pointer"].removeprefix("#/").removesuffix("_sequence"))

    def test_all_at_once(self, untouched):
        """All problems of a query are listed."""
        said = problem(untouched.ask("GET", "/api/report/pipeline/stays?limit=x&run_number=y&z=1"), 422)
        assert [each["pointer"] for each in said["errors"]] == ["#/limit", "#/run_number", "#/z"]


ARTIFACT = {"size": 1, "sha256": "0" * 64}
BAD_BODIES = {
    "deep, never closed": (UPDATE, b"[" * 4000, 400),
    "a file alone": (EXECUTE, {"request_id": NOBODY, "repo": "/", "file_path": "x.yaml"}, 404),
    "unknown job": (UPLOAD, {"job_execution_id": NOBODY, "artifacts": [ARTIFACT | {"path": "x"}]}, 404),
    "path": (UPLOAD, {"job_execution_id": NOBODY, "artifacts": [ARTIFACT | {"path": "../../etc/passwd"}]}, 422),
}


class TestBadBodies:
    """A refused body gets a problem document that repeats none of it; nothing is stored and nothing is sent."""

    @pytest.mark.parametrize(("path", "content", "status"), BAD_BODIES.values(), ids=BAD_BODIES)
    def test_refused(self, untouched, path, content, status):
        """Each body is refused with its status."""
        answer = untouched.post(path, content if isinstance(content, bytes) else json.dumps(content).encode())
        problem(answer, status)
        assert "passwd" not in answer.text

    @pytest.mark.parametrize("path", POSTS)
    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", None])
    def test_not_called_json(self, untouched, path, kind):
        """A valid body with another content type is refused, because a form of a web page could send it."""
        headers = {} if kind is None else {"Content-Type": kind}
        sound = converter.dumps(update(untouched.job, 1, "RUNNING"))
        problem(untouched.ask("POST", path, content=sound, headers=headers), 415)

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/json ;x=y"])
    def test_called_json(self, untouched, kind):
        """The content type may have parameters, and its case does not matter."""
        problem(untouched.ask("POST", UPDATE, content=b"{}", headers={"Content-Type": kind}), 422)

    @pytest.mark.parametrize("is_announced", [True, False])
    def test_too_large(self, untouched, is_announced):
        """A body is refused with and without a Content-Length, unless it has exactly the largest size."""

        async def in_parts():
            for _ in range(9):
                yield b" " * (BOUND // 8)

        content = b" " * (BOUND + 1) if is_announced else in_parts()
        answer = untouched.ask("POST", UPDATE, content=content, headers=JSON)
        problem(answer, 413)
        assert answer.headers["connection"] == "close"
        problem(untouched.post(UPDATE, b"{}" + b" " * (BOUND - 2)), 422)

    def test_is_not_kept(self, untouched, monkeypatch):
        """No reference cycle keeps the error, whose traceback refers to the body, in memory."""
        monkeypatch.setattr("cicd_system.backend.reading._SMALL_BODY", 0)  # It is read in a thread.
        gc.collect()
        gc.disable()
        try:
            before = errors_in_memory()
            problem(untouched.post(UPDATE, b"{}"), 422)
            until(lambda: len(errors_in_memory()) == len(before), "the thread to forget it, too")
        finally:
            gc.enable()


def errors_in_memory():
    return [each for each in gc.get_objects() if isinstance(each, ContractError)]


RIGHT = f"Bearer {TOKEN}".encode()
TOKENS = {
    "none": [],
    "another": [b"Bearer correct-horse-batterz"],
    "a part": [RIGHT[:-1]],
    "more": [RIGHT + b"!"],
    "empty": [b"Bearer "],
    "the token alone": [TOKEN.encode()],
    "another scheme": [b"Basic " + TOKEN.encode()],
    "odd bytes": [b"Bearer \xff\xfe\x80"],
    "twice": [RIGHT, RIGHT],
}
ELSEWHERE = [("GET", "/nothing"), ("OPTIONS", UPDATE), ("POST", UPDATE), ("GET", "/health/"), ("GET", "//health")]


class TestAccess:
    """Which requests are accepted."""

    @pytest.mark.parametrize("given", TOKENS.values(), ids=TOKENS)
    def test_refused(self, untouched, given):
        """Everything but the token is refused."""
        answer = ask_with(untouched, "POST", UPDATE, [(b"authorization", each) for each in given])
        problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in answer.text

    @pytest.mark.parametrize("given", [f"bearer {TOKEN}", f"BEARER   {TOKEN}"])
    def test_welcome(self, untouched, given):
        """The case of the scheme does not matter."""
        problem(ask_with(untouched, "POST", UPDATE, [(b"authorization", given.encode())]), 415)

    def test_everything_is_guarded(self, untouched):
        """Unknown paths are guarded, too, so a refusal does not show which paths exist. Health needs no token."""
        paths = {route.path.replace("}", "").replace("{", "") for route in untouched.app.routes}
        assert len(paths) == 27
        paths -= {"/health", "/sign-in", "/style.css"}
        for method, path in (*ELSEWHERE, *(("GET", path) for path in paths)):
            answer = ask_with(untouched, method, path, [])
            if path.startswith("/api/"):
                problem(answer, 401)
            else:
                assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        answer = ask_with(untouched, "GET", "/health", [])
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    @pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:1", "127.9.9.9", "[::1]:8000"])
    def test_without_a_token_by_the_own_name(self, open_backend, host):
        """Without a token, requests to a name of the loopback are accepted."""
        problem(open_backend.ask("GET", "/api/report/pipeline/absent", headers={"Host": host}), 404)

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "10.0.0.1", "[", ""]
    )
    def test_without_a_token_by_another_name(self, open_backend, host):
        """The name of another site may resolve to the loopback, so other names are refused."""
        problem(open_backend.post(EXECUTE, order(simple()), Host=host), 421)
        assert open_backend.queue.asked == 0


@pytest.fixture
def open_backend():
    with backend_on(token=None) as backend:
        yield backend


def ask_with(backend, method, path, headers):
    """Send a request with these headers alone."""
    return backend.send(httpx.Request(method, f"http://localhost{path}", headers=headers))


class TestRoutes:
    """Which paths and methods exist."""

    @pytest.mark.parametrize(
        "path",
        [
            *["/api", "/api/job/status/", "/api/pipeline/execute/", "/health/x", "/docs", "/api/artifact/..%2Fx"],
            *[f"/api/job/status/{it}" for it in ("x", "%00", "..%2F..", "null", NOBODY + "0", "{" + NOBODY + "}")],
            *["/api%2Freport/pipeline/stays", "/api/report/", "/api/report/pipeline", "/api/report/pipeline%2Fstays"],
            *[f"/api/report/pipeline/stays/{it}" for it in ("", "stage", "job/first", "stage/absent")],
            "/api/report/pipeline/stays/stage/first/job/first/more",
            "/api/report/pipeline/%FF",  # It is no text, and not the character that replaces such bytes.
        ],
    )
    def test_not_there(self, untouched, path):
        """Unknown and malformed paths are 404, and are not redirected."""
        problem(untouched.ask("GET", path), 404)

    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("GET", EXECUTE, {"POST"}),
            ("PUT", UPDATE, {"POST"}),
            ("DELETE", "/api/report/pipeline/stays", {"GET", "HEAD"}),
            ("OPTIONS", UPDATE, {"POST"}),
            ("POST", "/health", {"GET", "HEAD"}),
        ],
    )
    def test_another_method(self, untouched, method, path, allowed):
        """The answer lists the allowed methods."""
        answer = untouched.ask(method, path)
        problem(answer, 405)
        assert set(answer.headers["allow"].split(", ")) == allowed

    @pytest.mark.parametrize("path", ["/health", "/api/report/pipeline/stays", "/nothing"])
    def test_headers(self, untouched, path):
        """HEAD is answered with the headers of GET; all answers forbid caches and guesses of their type."""
        get, head = untouched.ask("GET", path), untouched.ask("HEAD", path)
        assert head.headers == get.headers
        assert (get.headers["cache-control"], get.headers["x-content-type-options"]) == ("no-store", "nosniff")


CONTENT = bytes(range(256)) * 9_000


class TestContents:
    """The contents of artifacts, as far as the conformance kit does not ask for them."""

    @pytest.mark.parametrize("content", [CONTENT, b""], ids=len)
    def test_head(self, untouched, content, monkeypatch):
        """`HEAD` returns the size, without reading the content."""
        path = f"/api/artifact/{sha256(content).hexdigest()}"
        assert untouched.ask("PUT", path, content=content).status_code == 204
        answer = untouched.ask("GET", path)
        monkeypatch.delattr(ArtifactStore, "read")
        head = untouched.ask("HEAD", path)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(content)), b"")
        assert (answer.headers["content-type"], answer.content) == ("application/octet-stream", content)

    @pytest.mark.parametrize(("method", "content"), [("GET", None), ("HEAD", None), ("PUT", b"x")])
    def test_what_is_no_sha256(self, untouched, method, content):
        assert untouched.ask(method, "/api/artifact/xyz", content=content).status_code == 422

    def test_the_length_is_announced_and_bounded(self, untouched):
        """Content without a length and too large content are refused."""

        async def endless():
            yield b"x"

        path = f"/api/artifact/{'0' * 64}"
        problem(untouched.ask("PUT", path, content=endless()), 411)
        headers = [(b"authorization", RIGHT), (b"content-length", str(MAX_CONTENT + 1).encode())]
        problem(ask_with(untouched, "PUT", path, headers), 413)


class Failing:
    """A store whose methods all raise an error, after they have waited."""

    def __init__(self, error, held=None):
        self.error = error
        self.held = held
        self.calls = 0

    def __getattr__(self, name):
        def fail(*_, **__):
            self.calls += 1
            assert self.held is None or self.held.wait(DEADLINE)
            raise self.error

        return fail


class TestStoreFails:
    """The answers to errors of the store."""

    @pytest.mark.parametrize(
        ("error", "status", "again"),
        [
            (BusyError("hunter2"), 503, "1"),
            (UnavailableError("hunter2"), 503, "1"),
            (FullError("hunter2"), 507, None),
            (StoreError("hunter2"), 500, None),
            (RecursionError("hunter2"), 500, None),
        ],
        ids=lambda value: type(value).__name__,
    )
    @pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("POST", UPDATE), ("GET", f"/run/{NOBODY}")])
    def test_answer(self, error, status, again, method, path):
        """An error is answered with its status, without details. The log has the reason, or the traceback of a flaw."""
        backend = Backend(Failing(error))
        with capture_logs() as lines:
            answer = backend.ask(method, path, content=converter.dumps(update(uuid4(), 1, "RUNNING")), headers=JSON)
        backend.close()
        problem(answer, status)
        assert "hunter2" not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get("retry-after") == again
        (line,) = (line for line in lines if line["message"] == "answered")
        assert (line["level"], line["status"]) == ("ERROR" if status == 500 else "WARNING", status)
        assert "hunter2" in line["exception.stacktrace" if status == 500 else "reason"]

    @pytest.mark.parametrize("is_by_writers", [False, True])
    def test_health_and_readers_do_not_queue_behind_others(self, is_by_writers, monkeypatch):
        """Health is answered while all threads wait, and readers and Workers while only starts of runs wait."""
        store = Failing(BusyError("x"), held=threading.Event())
        store.status = store.add_artifacts = Failing(BusyError("x")).status
        backend = Backend(store)

        async def ask_all():
            transport = httpx.ASGITransport(backend.app)
            headers = {"Authorization": f"Bearer {TOKEN}", **JSON}
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:

                def other():
                    if is_by_writers:
                        return client.post(EXECUTE, content=converter.dumps(order(simple())))
                    return client.get(f"/api/job/status/{NOBODY}")

                waiting = [asyncio.create_task(other()) for _ in range(60)]
                while store.calls < (8 if is_by_writers else 40):
                    await asyncio.sleep(0.01)
                for _ in range(1000):  # Then the others wait for a thread.
                    await asyncio.sleep(0)
                store.pipelines = lambda **_: ()
                answers = [await client.get("/health")]
                del store.pipelines
                monkeypatch.setattr(application, "_HEALTH_SECONDS", 0.1)
                answers.append(await client.get("/health"))
                if is_by_writers:
                    assert (await client.get(f"/api/pipeline/status/{NOBODY}")).status_code == 503
                    artifact = Artifact(path="x", size=0, sha256="0" * 64)
                    uploaded = ArtifactUploadRequest(job_execution_id=uuid4(), artifacts=(artifact,))
                    assert (await client.post(UPLOAD, content=converter.dumps(uploaded))).status_code == 503
                assert not any(task.done() for task in waiting)
                store.held.set()
                return answers, await asyncio.gather(*waiting)

        answers, others = asyncio.run(ask_all())
        backend.close()
        assert [answer.json() for answer in answers] == [{"status": "ok"}, {"status": "busy"}]
        assert {answer.status_code for answer in others} == {503}


class TestLog:
    """Each request is one line of the log, without secrets."""

    def test_ids(self, shared):
        """All lines about a request have the id of its execution."""
        with capture_logs() as lines:
            job = shared.start(simple())
            shared.report(job, 1, "RUNNING", logs="a line of output")
            shared.ask("GET", f"/api/job/status/{job}")
        ours = [line for line in lines if line["logger"].startswith("cicd_system")]
        assert [line["message"] for line in ours] == ["a run has started", *["answered"] * 3]
        by_id = "/api/job/status/{job_execution_id:uuid}"
        assert [line.get("route") for line in ours] == [None, EXECUTE, UPDATE, by_id]
        assert len({line["cicd.pipeline.run.id"] for line in ours[:2]}) == 1
        assert [line["cicd.pipeline.task.run.id"] for line in ours[2:]] == [str(job)] * 2
        assert [line["status"] for line in ours[1:]] == [201, 200, 200]
        assert all(line["milliseconds"] >= 0 for line in ours[1:])

    def test_tells_no_secret(self, untouched):
        """No path, query, header or body is logged."""
        with capture_logs() as lines:
            untouched.ask("GET", "/api/report/pipeline/hunter2?cursor=hunter2", headers={"X-Key": "hunter2"})
            untouched.ask("GET", "/hunter2")
            untouched.post(UPDATE, b'{"logs":"hunter2","status":"hunter2"}')
        assert [line["status"] for line in lines if line["message"] == "answered"] == [422, 404, 422]
        ours = [line for line in lines if line["logger"] != "httpx"]  # The client's are not the Backend's.
        assert "hunter2" not in str(ours)
        assert TOKEN not in str(ours)
