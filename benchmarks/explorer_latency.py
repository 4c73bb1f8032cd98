"""How long a list takes to appear on the page over a large catalogue, and what of it is scoring.

    python benchmarks/explorer_latency.py --items 1000000 --lists 100

A run on a catalogue of that size is trained for one epoch (once: both are kept under ``--runs``),
served by `fusionlab explore` in a process of its own, and looked at in a headless Chromium: a
user's id is entered, and the clock runs from the key that ends it until the list of that user is
painted, with what each modality counted. The history is drawn meanwhile. What the server says of
itself is the time inside `Service`: scoring (the list and what it loses without each modality) and
little else.

Needs the extra ``explorer``, Playwright (``pip install playwright``) and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from fusionlab.config import experiment_from
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore

USERS, CLICKS, WIDTH, LENGTH = 100, 20, 8, 20
WATCH = """
() => {
  const box = document.querySelector('#list-left');
  const old = box.querySelector('ol').dataset.list;
  let begun;
  addEventListener('keydown', event => { begun = event.timeStamp; }, { capture: true, once: true });
  window.painted = new Promise(done => {
    new MutationObserver((_, observer) => {
      const list = box.querySelector('ol');
      if (!list || list.dataset.list === old) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(() => done(
        [performance.now() - begun, Number(list.dataset.ms), list.children.length])));
    }).observe(box, { attributes: true, childList: true, subtree: true });
  });
}
"""
"""Once the key was pressed the clock runs until the list is another and a frame with it is out."""


def written(items: int, folder: Path) -> Path:
    """A plain folder of titled items with three modalities of noise, and a few users' clicks."""
    draw = np.random.default_rng(0)
    if not (folder / "interactions.csv").is_file():
        (folder / "features").mkdir(parents=True, exist_ok=True)
        ids = [f"i{row}" for row in range(items)]
        titled = {"item": ids, "title": [f"Item {row}" for row in range(items)]}
        pl.DataFrame(titled).write_parquet(folder / "items.parquet")
        for name in ("text", "image", "audio"):
            values = draw.standard_normal((items, WIDTH), dtype=np.float32)
            np.save(folder / "features" / f"{name}.npy", values)
        users = np.repeat(np.arange(USERS), CLICKS)
        clicked = draw.integers(0, items, len(users))
        clicks = {"user": [f"u{row}" for row in users], "item": [f"i{row}" for row in clicked]}
        pl.DataFrame(clicks).write_csv(folder / "interactions.csv")
    return folder


def trained(folder: Path, store: RunStore) -> str:
    """The id of a run on the catalogue; what is there is not trained again."""
    experiment = experiment_from(
        {
            "dataset": {"name": "folder", "path": str(folder), "text_columns": ["title"]},
            "dim": 64,
            "training": {"epochs": 1, "batch_size": 512, "modality_dropout": 0.3},
            "evaluation": {"cutoffs": [LENGTH], "users": 10},
        }
    )
    return run_experiment(experiment, store).id


def served(run: str, runs: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The server, once it answers, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fusionlab", "explore", run[:12], "--runs", str(runs)]
    process = subprocess.Popen([*command, "--port", str(port)])
    address = f"http://127.0.0.1:{port}"
    while process.poll() is None:
        try:
            urllib.request.urlopen(address).close()
            return process, address
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server ended")


def measured(address: str, lists: int, warm: int) -> np.ndarray[Any, Any]:
    """(lists, 2): milliseconds until a list was painted, and of these inside the service."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.get_by_role("tab", name="Recommend").click()
        page.wait_for_selector("#list-left ol")
        page.get_by_label("number input for Items").fill(str(LENGTH))
        page.keyboard.press("Enter")
        page.wait_for_function(f"document.querySelectorAll('#list-left li').length === {LENGTH}")
        for turn in range(warm + lists):
            user = f"u{(7 * turn + 1) % USERS}"
            page.locator("#who-recommend input, #who-recommend textarea").fill(user)
            page.evaluate(WATCH)
            page.keyboard.press("Enter")
            painted, inside, count = page.evaluate("window.painted")
            assert count == LENGTH
            page.wait_for_timeout(300)  # what else the page does for this user ends
            found.append((painted, inside))
        browser.close()
    return np.array(found[warm:])


def main() -> None:
    """Train, serve, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, default=100)
    parser.add_argument("--warm", type=int, default=10)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    folder = written(asked.items, asked.runs / f"catalogue-{asked.items}")
    process, address = served(trained(folder, RunStore(asked.runs)), asked.runs)
    try:
        times = measured(address, asked.lists, asked.warm)
    finally:
        process.terminate()
        process.wait()
    whole, inside = times.T
    told = {
        "items": asked.items,
        "lists": len(times),
        "painted ms, median": round(float(np.median(whole)), 1),
        "painted ms, p95": round(float(np.quantile(whole, 0.95)), 1),
        "in the service ms, median": round(float(np.median(inside)), 1),
        "in the service ms, p95": round(float(np.quantile(inside, 0.95)), 1),
        "share of the service": round(float(inside.sum() / whole.sum()), 3),
    }
    print(yaml.safe_dump(told, sort_keys=False), end="")


if __name__ == "__main__":
    main()
