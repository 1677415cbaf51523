"""Live updates of pages, over a real connection."""

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count, repeat
from uuid import UUID

import httpx
import pytest
from cicd_system.backend.ansi import START, Piece, Position
from cicd_system.backend.live import Look, Streams
from starlette.applications import Starlette
from starlette.routing import Route

from cicd_common.store import BusyError, ExecutionStore
from tests.support.examples.backend_in_process import app_on, served, simple, update
from tests.support.examples.waiting import DEADLINE, until

NOBODY = UUID(int=0)


@contextlib.contextmanager
def stream(url, **headers):
    """Open a stream; yields an iterator of its events: kind, data and id."""
    with httpx.stream("GET", url, headers=headers, timeout=DEADLINE) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        # Proxies must not hold events back.
        assert answer.headers["x-accel-buffering"] == "no"
        assert "no-transform" in answer.headers["cache-control"]
        yield filter(lambda event: event[0] != "ping", _events(answer.iter_lines()))


def _events(lines):
    event = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            event[name] = value
        else:
            yield event["event"], json.loads(event["data"]) if event["data"] != "-" else None, event.get("id")
            event = {}


class _Watched:
    """A page whose state differs at each look."""

    def __init__(self):
        self.looks = 0
        self.reads = []
        self.held = threading.Event()
        self.held.set()
        self.fails = None
        self.is_over = False
        self.numbers = count()

    def __call__(self):
        self.looks += 1
        assert self.held.wait(DEADLINE)
        if self.fails is not None:
            raise self.fails
        return Look("", {"n": str(next(self.numbers))}, self.is_over)

    def more(self, begin):
        self.reads.append(begin)
        return Piece(1, True, ["line", ""], Position(line=2)) if begin == START else None


@pytest.fixture
def watched():
    return _Watched()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("cicd_system.backend.live.PAUSE", 0.01)


@pytest.fixture
def streams():
    return Streams(3)


@pytest.fixture
def url(streams, watched):
    """The address of an application with at most three streams of one page."""

    async def respond(request):
        return streams.respond(request, "thing", watched, watched.more)

    with served(Starlette(routes=[Route("/", respond)])) as url:
        yield url


class TestStreams:
    def test_all_who_look_share_each_look(self, url, watched):
        """Streams of the same page end with the same look."""
        with stream(url) as first, stream(url) as second, stream(url) as third:
            for events in (first, second, third):
                next(events)
            watched.is_over = True
            ends = [list(events) for events in (first, second, third)]
        last = {"n": str(watched.looks - 1)}
        assert [end[-2][1] for end in ends] == [last] * 3
        assert [end[-1][0] for end in ends] == ["over"] * 3

    def test_all_who_read_a_log_share_its_pieces(self, url, watched):
        """Each position is read once for each look, also if there is no output after it."""
        watched.is_over = True
        watched.held.clear()
        with contextlib.ExitStack() as stack:
            answers = [stack.enter_context(httpx.stream("GET", url, timeout=DEADLINE)) for _ in range(3)]
            lines = [answer.iter_lines() for answer in answers]
            assert [next(each) for each in lines] == ["event: ping"] * 3
            watched.held.set()
            assert ["event: log" in list(each) for each in lines] == [True] * 3
        assert watched.reads == [START, Position(line=2)]

    def test_there_are_only_so_many(self, url):
        """Browsers that come at once are counted, too; one is served when another one has gone."""
        with httpx.Client(timeout=DEADLINE) as client, ThreadPoolExecutor() as threads:
            request = client.build_request("GET", url)
            asked = [threads.submit(client.send, request, stream=True) for _ in range(9)]
            answers = [each.result() for each in asked]
            assert sorted(answer.status_code for answer in answers) == [200] * 3 + [503] * 6
            assert {answer.headers.get("retry-after") for answer in answers} == {None, "30"}
            for answer in answers:
                answer.close()

        def is_served():
            with httpx.stream("GET", url, timeout=DEADLINE) as answer:
                return answer.status_code == 200

        assert until(is_served, "a stream to be free")

    def test_what_has_not_changed_is_not_sent(self, url, watched):
        watched.numbers = repeat(0)
        with stream(url) as events:
            assert [next(events)[0] for _ in range(2)] == ["parts", "log"]
            until(lambda: watched.looks > 3, "more looks")
            watched.is_over = True
            assert [kind for kind, _, _ in events] == ["over"]

    def test_a_store_that_fails_is_waited_for(self, url, watched):
        with stream(url) as events:
            next(events)
            watched.fails = BusyError("busy")
            looks = watched.looks
            until(lambda: watched.looks > looks + 2, "looks that fail")
            last = next(watched.numbers)  # Of earlier looks, events may be on their way.
            watched.fails = None
            assert any(kind == "parts" and int(data["n"]) > last for kind, data, _ in events)

    def test_a_flaw_ends_the_stream(self, url, watched, caplog):
        """The error is logged, and the stream ends without the event `over`, so the browser reconnects."""
        watched.fails = ValueError("a flaw")
        with stream(url) as events:
            assert list(events) == []
        (record,) = [record for record in caplog.records if record.name == "cicd_system.backend.live"]
        assert record.exc_info[1] is watched.fails


@pytest.fixture
def store():
    with ExecutionStore("sqlite://") as store:
        yield store


@pytest.fixture
def backend(store):
    with served(app_on(store)) as url:
        yield url


@pytest.fixture
def job(store):
    (request,) = store.start(simple("app", "first", "second")).jobs
    return request


class TestPages:
    def test_a_run_tells_what_changes(self, backend, store, job):
        """The first event has all elements, later ones have those that changed, and the last one is `over`."""
        job_id = str(job.job_execution_id)
        with stream(f"{backend}/run/{job.pipeline_execution_id}/events") as events:
            _, parts, _ = next(events)
            assert parts["status"] == '<span class="status PENDING">PENDING</span>'
            assert parts[f"{job_id}-bar"].startswith('<rect class="PENDING" x="0" width="0" ')
            store.apply(update(job.job_execution_id, 1, "RUNNING"))
            _, parts, _ = next(events)
            assert parts["status"] == parts[f"{job_id}-status"] == '<span class="status RUNNING">RUNNING</span>'
            assert not parts[f"{job_id}-bar"].startswith('<rect class="RUNNING" x="0" width="0" ')
            assert {name for name in parts if name.endswith("-status")} == {f"{job_id}-status"}
            store.apply(update(job.job_execution_id, 2, "FAILED", exit_code=1))
            *_, last, over = events
            assert last[1]["cancel"] == ""
            assert over[0] == "over"

    def test_a_log_grows_and_goes_on_where_it_was(self, backend, store, job):
        """A browser that reconnects continues at its position, on any Backend."""
        url = f"{backend}/run/{job.pipeline_execution_id}/job/{job.job_execution_id}/events"
        store.apply(update(job.job_execution_id, 1, "RUNNING", logs="one\n\x1b[31mtw"))
        with stream(url) as events:
            assert ", attempt 1, on worker, " in next(events)[1]["facts"]
            kind, lines, last = next(events)
            expected = {"line": 1, "is_anew": True, "lines": ["one", '<span class="fg1">tw</span>']}
            assert (kind, lines) == ("log", expected)
        store.apply(update(job.job_execution_id, 2, "RUNNING", logs="o\n"))
        expected = {"line": 2, "is_anew": False, "lines": ['<span class="fg1">o</span>', ""]}
        for asked, headers in ((url, {"Last-Event-ID": last}), (f"{url}?seen={last}", {})):
            with stream(asked, **headers) as events:  # It may share a look that was before the new output.
                assert next(data for kind, data, _ in events if kind == "log") == expected
        store.apply(update(job.job_execution_id, 3, "SUCCESS", exit_code=0, logs="end"))
        shown = {}
        with stream(f"{url}?seen=nonsense") as events:
            for kind, data, _ in events:  # The first look may be one that an earlier stream still shares.
                for number, html in enumerate(data["lines"], data["line"]) if kind == "log" else ():
                    goes_on = number == data["line"] and not data["is_anew"]
                    shown[number] = shown[number] + html if goes_on else html
        whole = {number: html.replace('</span><span class="fg1">', "") for number, html in shown.items()}
        assert whole == {1: "one", 2: '<span class="fg1">two</span>', 3: '<span class="fg1">end</span>'}
        assert kind == "over"

    def test_runs_appear(self, backend, store):
        store.start(simple("app"))
        with stream(f"{backend}/events") as events:
            assert "run 1" in next(events)[1]["pipelines"]
            store.start(simple("other"))
            assert "other" in next(events)[1]["pipelines"]

    @pytest.mark.parametrize("path", [f"/run/{NOBODY}/events", f"/run/{NOBODY}/job/{NOBODY}/events"])
    def test_what_is_not_there_is_over(self, backend, path):
        """The stream of an unknown run or job is over at once, so that browsers do not reconnect."""
        with stream(backend + path) as events:
            assert [kind for kind, _, _ in events] == ["over"]
