"""A server in a process of its own, and a browser that writes down what goes wrong in it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
MISSING = [
    *(f"pip install {name}" for name in ("gradio", "playwright") if not find_spec(name)),
    *([] if CHROMIUM else ["apt install chromium"]),
]
needs_server = pytest.mark.skipif(not find_spec("gradio"), reason="pip install gradio")
needs_browser = pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))
ROOT = Path(__file__).parents[2]


@contextmanager
def served(*targets, runs):
    """The address of `fusionlab explore` over ``targets``, until the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fusionlab", "explore", *map(str, targets)]
    command += ["--runs", str(runs), "--port", str(port)]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=60)
    assert "Traceback" not in said, said


def _wait_for(address, process):
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(process.stdout.read())
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("no server after three minutes")


@contextmanager
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=60_000
        )
        yield chromium
        chromium.close()


@contextmanager
def opened(chromium, address, **options):
    """A page whose console has no error at the end, and which asked nobody but the server."""
    page = chromium.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    page.set_default_timeout(60_000)
    wrong = []
    page.on("console", lambda one: one.type == "error" and wrong.append(one.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda one: _ours(one.url, address) or wrong.append(one.url))
    page.on("response", lambda one: one.status < 400 or wrong.append(f"{one.status} {one.url}"))
    page.goto(address)
    page.wait_for_selector("#table tbody tr")
    yield page
    keep = os.environ.get("FUSIONLAB_SCREENSHOTS")  # a folder, to look at what was seen
    if keep:
        name = re.sub(r"\W+", "_", os.environ["PYTEST_CURRENT_TEST"].split("::")[-1])
        page.screenshot(path=f"{keep}/{name}.png", full_page=True)
    page.close()
    assert not wrong


def _ours(url, address):
    return url.startswith((address, "data:", "blob:"))


def turn_to(page, tab):
    page.get_by_role("tab", name=tab).click()


def items_of(page, place):
    """Ids of the cards of a list, as they stand."""
    return page.eval_on_selector_all(
        f"#{place} .fl-card", "cards => cards.map(card => card.dataset.item)"
    )


def wait_for_change(page, place, before):
    """The items of a list once they are others than ``before``."""
    page.wait_for_function(
        "([place, before]) => { const now = [...document.querySelectorAll(`#${place} .fl-card`)]"
        ".map(card => card.dataset.item).join(); return now && now !== before; }",
        arg=[place, ",".join(before)],
    )
    return items_of(page, place)
