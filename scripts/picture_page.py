"""Take a picture of the page of a run: ``python scripts/picture_page.py FILE PIPELINE``.

``docs/page.png`` is made by this, from a real run::

    .venv/bin/python scripts/picture_page.py docs/page.png examples/pipelines/failing.yaml

It needs Chromium (`scripts/chromium`) and the dependency group ``browser``.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

DEMO = Path(__file__).parent / "demo"
SIZE = {"width": 900, "height": 700}


def picture(file: str, url: str, token: str, run: str) -> None:
    """Sign in, open the page of a run, and write what can be seen of it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5)
        page.goto(url)
        page.get_by_label("Token").fill(token)
        with page.expect_navigation():
            page.get_by_role("button", name="Sign in").click()
        page.goto(f"{url}/run/{run}")
        page.get_by_text("FAILED").first.wait_for()
        page.screenshot(path=file)
        browser.close()


def main(file: str, pipeline: str) -> None:
    """Run the demo, and take the picture before it ends."""
    demo = subprocess.Popen([DEMO, "--stay", pipeline], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if "Ctrl-C ends all" in line:
            break
    url, token = re.findall(r"pages are at (\S+)$|token to sign in: (\S+)", said, re.MULTILINE)[-2:]
    run = re.findall(r"run 1 of \S+: (\S+)", said)[0]
    try:
        picture(file, url[0], token[1], run)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
