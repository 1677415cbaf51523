"""The pages in a real browser: they can be used, and axe finds nothing serious, in light and dark, narrow and wide."""

import os
import shutil
import threading

import pytest
from cicd_system.backend import Dispatcher, create_app
from cicd_system.backend.server import listening, make_server

from cicd_common import ExecutionStatus
from cicd_common.store import ExecutionStore
from tests.support.examples.attempts import NoQueue
from tests.support.examples.backend_in_process import TOKEN, simple, update
from tests.support.examples.waiting import until

CHROMIUM = shutil.which("chromium")
REASON = "Chromium is not installed; scripts/chromium does it on Debian"
if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail(REASON, pytrace=False)
if CHROMIUM is None:
    pytest.skip(REASON, allow_module_level=True)

pytest.importorskip("playwright", reason="the dependency group `browser` is not installed")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def store():
    with ExecutionStore("sqlite://") as store:
        yield store


@pytest.fixture
def url(store, monkeypatch):
    """Where a Backend listens that has a token."""
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Handlers belong to the main thread.
    with listening("127.0.0.1", 0) as listener:
        server = make_server(create_app(store, Dispatcher(store, NoQueue()), token=TOKEN))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started, "the Backend to start", pause=0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def job(store):
    """A job that runs, in a run of two."""
    (request,) = store.start(simple("app", "first", "second")).jobs
    store.apply(update(request.job_execution_id, 1, "RUNNING", logs="\x1b[31mred\x1b[0m, \x1b[34mblue\x1b[0m\n"))
    return request


def signed_in(context, url):
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    return page


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_is_found(browser, url, job, scheme, width):
    """No barrier, no error of the page, and nothing to scroll sideways."""
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}) as context:
        page = signed_in(context, url)
        told = []
        page.on("console", lambda message: told.append(message.text))
        for path in ("/", f"/run/{job.pipeline_execution_id}", f"/job/{job.job_execution_id}", "/sign-in"):
            page.goto(url + path)
            found = Axe().run(page).response["violations"]
            assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == [], path
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
        assert [text for text in told if "Content Security Policy" in text] == []


def test_a_run_is_followed_and_canceled(browser, url, store, job):
    """From the list to the run, and the page moves by itself."""
    with browser.new_context() as context:
        page = signed_in(context, url)
        page.get_by_role("link", name="run 1").click()
        page.get_by_text("RUNNING: job first is running").wait_for()
        page.get_by_role("button", name="Cancel").click()
        until(lambda: store.job_status(job.job_execution_id).is_cancel_requested, "the cancel")
        store.apply(update(job.job_execution_id, 2, "CANCELED"))
        page.get_by_text("CANCELED: canceling was asked for").wait_for()
        page.get_by_role("button", name="Run again").click()
        page.get_by_role("heading", name="app, run 2").wait_for()
        assert store.execution(job.pipeline_execution_id).status is ExecutionStatus.CANCELED


def test_a_log_is_read_by_its_lines(browser, url, job):
    """A job is a link in the graph, and a line one in its log."""
    with browser.new_context() as context:
        page = signed_in(context, url)
        page.goto(f"{url}/run/{job.pipeline_execution_id}")
        page.locator("svg.graph a").first.click()
        page.get_by_text("red").wait_for()
        page.get_by_role("link", name="1", exact=True).click()
        assert page.url.endswith("#L1")
