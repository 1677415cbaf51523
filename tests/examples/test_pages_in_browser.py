"""The pages in a real browser, checked by axe in light and dark, narrow and wide."""

import os
import shutil
from datetime import UTC, datetime

import pytest

from cicd_common.api.request import ExecutionLogUpload
from cicd_common.model import ExecutionLog
from cicd_common.store import ExecutionStore
from tests.support.examples.backend_in_process import TOKEN, app_on, served, simple, update
from tests.support.examples.waiting import DEADLINE

CHROMIUM = shutil.which("chromium")
REASON = "Chromium is not installed; scripts/chromium does it on Debian"
if CHROMIUM is None and os.environ.get("CI"):
    pytest.fail(REASON, pytrace=False)
if CHROMIUM is None:
    pytest.skip(REASON, allow_module_level=True)

pytest.importorskip("playwright", reason="the dependency group `browser` is not installed")

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

MILLISECONDS = 1000 * DEADLINE
NOW = datetime(2026, 1, 31, tzinfo=UTC)
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
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, timeout=MILLISECONDS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def store():
    with ExecutionStore("sqlite://") as store:
        yield store


@pytest.fixture(scope="module")
def url(store):
    """The address of a Backend with a token."""
    with pytest.MonkeyPatch.context() as patch, served(app_on(store, token=TOKEN)) as url:
        patch.setattr("cicd_system.backend.live.PAUSE", 0.05)
        yield url


@pytest.fixture
def job(store):
    """A running job, in a run of two jobs."""
    (request,) = store.start(simple("app", "first", "second")).jobs
    say(store, request, 1, "\x1b[31mred\x1b[0m, \x1b[34mblue\x1b[0m\n")
    return request


@pytest.fixture
def page(browser, url):
    """A page of a browser that has signed in."""
    with browser.new_context() as context:
        yield signed_in(context, url)


def say(store, job, sequence, logs="", status="RUNNING", **fields):
    return store.apply(update(job.job_execution_id, sequence, status, logs=logs, **fields))


def run_page(job):
    return f"/run/{job.pipeline_execution_id}"


def job_page(job):
    return f"{run_page(job)}/job/{job.job_execution_id}"


def signed_in(context, url):
    context.set_default_timeout(MILLISECONDS)
    page = context.new_page()
    page.goto(url)
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    return page


def listen(page):
    """Wait until the page has shown its first event, which replaces all elements that may change."""
    page.wait_for_load_state()
    page.locator("main[data-heard]").wait_for()


@pytest.mark.parametrize(("scheme", "width", "other"), [("light", 360, 1600), ("dark", 1600, 360)])
def test_nothing_serious_is_found(browser, url, store, job, scheme, width, other):
    """There are no barriers, no errors in the console, and the page does not scroll sideways."""
    log = ExecutionLog(job_execution_id=job.job_execution_id, sequence=0, timestamp=NOW, log_text="INFO " + "x" * 500)
    store.add_logs(ExecutionLogUpload(logs=(log,)))
    say(store, job, 2, "".join(f"\x1b[{number}mcolour\x1b[0m" for number in (1, 2, *range(30, 38), *range(40, 48))))
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}) as context:
        page = signed_in(context, url)
        told = []
        page.on("console", lambda message: told.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        for path in ("/", run_page(job), job_page(job), "/sign-in"):
            page.goto(url + path)
            if path != "/sign-in":
                listen(page)
            found = Axe().run(page).response["violations"]
            assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == [], path
            for each in (width, other):
                page.set_viewport_size({"width": each, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), (
                    path
                )
        assert [text for text in told if "favicon" not in text] == []


def test_a_run_is_followed_and_canceled(page, store, job):
    """The page of a run updates without a reload and without losing the focus."""
    run = store.status(job.pipeline_execution_id).run_number
    page.get_by_role("link", name=f"run {run}", exact=True).click()
    page.wait_for_url(f"**{run_page(job)}")
    listen(page)
    loads = []
    page.on("load", lambda page: loads.append(page.url))
    page.get_by_role("button", name="Run again").focus()
    page.get_by_text("RUNNING: job first is running").wait_for()
    page.get_by_role("link", name="first: RUNNING").wait_for()
    (second,) = say(store, job, 2, status="SUCCESS", exit_code=0).jobs
    page.locator("svg.graph .SUCCESS").wait_for()
    bar = page.locator("svg.time .SUCCESS")
    bar.wait_for(state="attached")
    assert int(bar.get_attribute("width")) > 0
    assert page.locator("tr.stage .status").first.inner_text() == "SUCCESS"
    assert page.evaluate("document.activeElement.textContent") == "Run again"
    assert loads == []
    with page.expect_event("load"):
        page.get_by_role("button", name="Cancel").click()
    listen(page)
    assert store.job_status(second.job_execution_id).is_cancel_requested
    say(store, second, 1, status="CANCELED")
    page.locator("#status .CANCELED").wait_for()
    assert page.get_by_role("button", name="Cancel").count() == 0
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("heading", name=f"app, run {run + 1}").wait_for()


def test_a_log_is_read_by_its_lines(page, url, job):
    """The graph links to the job, and the log links to its lines."""
    page.goto(url + run_page(job))
    listen(page)
    page.locator("svg.graph a").first.click()
    page.get_by_text("red").wait_for()
    page.get_by_role("link", name="1", exact=True).click()
    assert page.url.endswith("#L1")


def test_a_log_grows_under_its_reader(page, url, store, job):
    """A page follows the end only if it is scrolled there, and catches up after it was hidden."""
    say(store, job, 2, "line\n" * 200 + "\x1b[32mbegun")
    page.goto(url + job_page(job))
    listen(page)
    scrolled = "document.documentElement.scrollTop"
    page.evaluate(f"{scrolled} = 100")
    say(store, job, 3, ", done\nnext\n")
    page.locator("#L203").wait_for()
    assert page.locator("#L202 code").inner_text() == "begun, done"
    assert page.locator("#L203 .fg2").inner_text() == "next"
    assert page.evaluate(scrolled) == 100
    page.evaluate(f"{scrolled} = document.documentElement.scrollHeight")
    end = page.evaluate(scrolled)
    say(store, job, 4, "line\n" * 50)
    page.locator("#L253").wait_for()
    page.wait_for_function(f"{scrolled} > {end}")

    hide = "hidden => {{ Object.defineProperty(document, 'hidden', {{value: hidden, configurable: true}}); {} }}"
    hide = hide.format("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate(hide, True)
    say(store, job, 5, "unseen\n", "SUCCESS", exit_code=0)
    page.evaluate(hide, False)
    page.locator("#L254").wait_for()
    page.get_by_text("SUCCESS, attempt 1, on worker, exit code 0").wait_for()
    assert page.locator(".line").count() == 254


def test_pages_need_no_script(browser, url, job):
    """Without JavaScript the page is complete."""
    with browser.new_context(java_script_enabled=False) as context:
        page = signed_in(context, url)
        page.goto(url + job_page(job))
        assert page.locator("#L1 .fg1").inner_text() == "red"
