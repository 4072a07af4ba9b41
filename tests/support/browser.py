"""A headless browser, where the machine has one."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")


def browser() -> str:
    """The command of a Chromium; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(_NAMES)})")
    return found


def asked(page: Path, script: str, *options: str) -> Any:
    """What a script finds in a page once the browser has laid it out: a JSON value.

    Args:
        page: the file; a copy of it gets the script.
        script: JavaScript, an expression.
        options: of the browser.
    """
    copy = page.with_name(f"asked-{page.name}")
    tag = f"<script>document.title = JSON.stringify({script})</script></body>"
    copy.write_text(page.read_text().replace("</body>", tag))
    dumped = run(*options, "--dump-dom", copy.as_uri())
    match = re.search(r"<title>(.*?)</title>", dumped, re.DOTALL)
    assert match is not None, dumped[-2000:]
    return json.loads(html.unescape(match[1]))


def run(*arguments: str) -> str:
    """Run the browser, without any network, and return what it prints."""
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    done = subprocess.run(
        [browser(), *_QUIET, offline, *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout
