"""How long two lists take to appear on the page over a large catalogue, and what of it is scoring.

    python benchmarks/explorer_latency.py --items 1000000 --lists 200

A study of two strategies on a catalogue of that size is trained for one epoch (once: both are kept
under ``--runs``), served by `fusionlab explore` in a process of its own, and looked at in a
headless Chromium: a user's id is entered, and the clock runs from the key that ends it until the
list of each strategy is painted, with what each modality counted, and then until every picture in
view is there, of files on the disk. The history is drawn meanwhile. Then words are searched for.
The server writes down how long it took for each list, and what of that went into scores: of the
whole catalogue with the choice of the best, and of these without each modality.

Needs the extra ``explorer``, Playwright (``pip install playwright``) and Chromium.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from fusionlab.config import load_study
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.executor import execute
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan

USERS, CLICKS, WIDTH, LENGTH, PICTURES = 100, 20, 8, 20, 5000
SIDES = ("left", "right")
WATCH = """
places => {
  const begun = new Promise(done => addEventListener(
    'keydown', event => done(event.timeStamp), { capture: true, once: true }));
  const painted = places.map(place => new Promise(done => {
    const box = document.querySelector(place);
    const old = box.querySelector('ol')?.dataset.list;
    new MutationObserver((_, observer) => {
      const list = box.querySelector('ol');
      if (!list || (old && list.dataset.list === old)) return;
      observer.disconnect();
      requestAnimationFrame(() => setTimeout(async () => done(
        [performance.now() - await begun, list.children.length])));
    }).observe(box, { attributes: true, childList: true, subtree: true });
  }));
  window.painted = Promise.all(painted);
  window.pictured = window.painted.then(async () => {
    const seen = [...document.querySelectorAll(places.map(place => place + ' img').join())]
      .filter(one => one.getBoundingClientRect().top < innerHeight);
    await Promise.all(seen.map(one => one.complete || new Promise(done => {
      one.onload = one.onerror = done;
    })));
    return [performance.now() - await begun, seen.filter(one => one.naturalWidth).length];
  });
}
"""
"""Once the key was pressed the clock runs until each list is another and a frame with it is out."""


def written(items: int, folder: Path) -> Path:
    """A plain folder of titled items with three modalities of noise, pictures on the disk (which
    items share), and a few users' clicks."""
    if (folder / "interactions.csv").is_file():
        return folder
    draw = np.random.default_rng(0)
    (folder / "features").mkdir(parents=True, exist_ok=True)
    _draw_pictures(folder / "posters", draw)
    ids = [f"i{row}" for row in range(items)]
    told = {"item": ids, "title": [f"Item {row}" for row in range(items)]}
    told["poster"] = [f"posters/{row % PICTURES}.jpg" for row in range(items)]
    pl.DataFrame(told).write_parquet(folder / "items.parquet")
    for name in ("text", "image", "audio"):
        values = draw.standard_normal((items, WIDTH), dtype=np.float32)
        np.save(folder / "features" / f"{name}.npy", values)
    users = np.repeat(np.arange(USERS), CLICKS)
    clicked = draw.integers(0, items, len(users))
    clicks = {"user": [f"u{row}" for row in users], "item": [f"i{row}" for row in clicked]}
    pl.DataFrame(clicks).write_csv(folder / "interactions.csv")
    return folder


def _draw_pictures(folder: Path, draw: np.random.Generator) -> None:
    from PIL import Image

    folder.mkdir(exist_ok=True)
    for number in range(PICTURES):
        blocks = draw.integers(0, 256, (9, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(blocks).resize((400, 600), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=90)


def trained(folder: Path, fusions: list[str], store: RunStore) -> Path:
    """The file of a finished study on the catalogue; what is there is not trained again."""
    dataset = {"name": "folder", "path": str(folder), "text_columns": ["title"]}
    study = {
        "title": "Two strategies",
        "experiment": {
            "dataset": {**dataset, "image_columns": ["poster"]},
            "dim": 64,
            "training": {"epochs": 1, "batch_size": 512, "modality_dropout": 0.3},
            "evaluation": {"cutoffs": [LENGTH], "users": 10},
        },
        "axes": {"fusion": fusions},
        "seeds": [0],
        "controls": [],
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    planned = plan(load_study(file), partial(load_dataset, features=store.features))
    execute(planned.runs, store, workers=1, on_run=lambda *_: None)
    return file


def explore(file: Path, runs: Path, port: int, log: Path) -> None:
    """`fusionlab explore`; the time of each list, and what of it was scoring, goes into ``log``."""
    from fusionlab.cli import main
    from fusionlab.explorer import recommend as lists
    from fusionlab.serving import recommend as serving
    from fusionlab.serving.scoring import Scoring

    spent, asked = threading.local(), lists.answer

    def timed(work: Callable[..., Any]) -> Callable[..., Any]:
        def done(*given: Any, **named: Any) -> Any:
            started = time.perf_counter()
            found = work(*given, **named)
            spent.seconds = getattr(spent, "seconds", 0.0) + time.perf_counter() - started
            return found

        return done

    def answer(service: serving.Service, question: lists.Question) -> lists.Answer:
        spent.seconds = 0.0
        told = asked(service, question)
        row = {"run": service.record.id, "user": question.user, "service": told.seconds}
        with log.open("a") as file:
            file.write(json.dumps({**row, "scoring": spent.seconds}) + "\n")
        return told

    # what `Service` calls for scores: of everything, and of the listed items
    serving.top_k = timed(serving.top_k)
    Scoring.scores_at = timed(Scoring.scores_at)
    lists.answer = answer
    command = ["explore", str(file), "--runs", str(runs), "--port", str(port)]
    main(command, standalone_mode=False)


def served(file: Path, runs: Path, log: Path) -> tuple[BaseProcess, str]:
    """The server, once it answers, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log.unlink(missing_ok=True)
    process = multiprocessing.get_context("spawn").Process(
        target=explore, args=(file, runs, port, log)
    )
    process.start()
    address = f"http://127.0.0.1:{port}"
    while process.is_alive():
        try:
            urllib.request.urlopen(address).close()
            return process, address
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the server ended")


def looked_at(address: str, turns: int, searches: int) -> dict[str, np.ndarray[Any, Any]]:
    """Milliseconds until the left and the right list (turns, 2), the pictures in view (turns,) and
    a page of what was searched for (searches,) were painted."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    found: dict[str, list[Any]] = {"lists": [], "pictures": [], "search": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.goto(address)
        page.get_by_role("tab", name="Recommend").click()
        page.get_by_label("number input for Items").fill(str(LENGTH))
        page.keyboard.press("Enter")
        for side in SIDES:
            count = f"document.querySelectorAll('#list-{side} li').length === {LENGTH}"
            page.wait_for_function(count, timeout=120_000)
        for turn in range(turns):
            page.locator("#who-recommend input, #who-recommend textarea").fill(user_of(turn))
            page.evaluate(WATCH, [f"#list-{side}" for side in SIDES])
            page.keyboard.press("Enter")
            painted, (pictured, seen) = page.evaluate("Promise.all([painted, pictured])")
            assert all(count == LENGTH for _, count in painted)
            assert seen, "no picture in view"
            found["lists"].append([taken for taken, _ in painted])
            found["pictures"].append(pictured)
            page.wait_for_timeout(300)  # what else the page does for this user ends
        page.get_by_role("button", name="Build a profile").click()
        for turn in range(searches):
            page.get_by_label("Search the catalogue").fill(f"item {10 + turn}")
            page.evaluate(WATCH, ["#catalogue"])
            page.keyboard.press("Enter")
            ((painted, _),) = page.evaluate("window.painted")
            found["search"].append(painted)
            page.wait_for_timeout(300)
        browser.close()
    return {name: np.array(times) for name, times in found.items()}


def user_of(turn: int) -> str:
    """Whose lists are asked for."""
    return f"u{(7 * turn + 1) % USERS}"


def inside(log: Path, turns: int) -> np.ndarray[Any, Any]:
    """(turns, 2, 2): milliseconds inside the service and in scoring, of each strategy's lists."""
    rows = pl.read_ndjson(log)
    found = []
    for run in rows["run"].unique(maintain_order=True):
        own = rows.filter(pl.col("run") == run).tail(turns)
        assert own["user"].to_list() == [user_of(turn) for turn in range(turns)]
        found.append(1000 * own.select("service", "scoring").to_numpy())
    return np.stack(found, axis=1)


def told(name: str, times: np.ndarray[Any, Any]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {
        f"{name} ms, median": round(float(np.median(times)), 1),
        f"{name} ms, p95": round(float(np.quantile(times, 0.95)), 1),
    }


def main() -> None:
    """Train, serve, look, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--lists", type=int, default=200, help="half of each strategy")
    parser.add_argument("--warm", type=int, default=10)
    parser.add_argument("--searches", type=int, default=50)
    parser.add_argument("--fusions", nargs=2, default=["concat", "gated"])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    folder, turns = written(asked.items, asked.runs / f"catalogue-{asked.items}"), asked.lists // 2
    file, log = trained(folder, asked.fusions, RunStore(asked.runs)), folder / "lists.ndjson"
    begun = os.getloadavg()[0]
    process, address = served(file, asked.runs, log)
    try:
        times = looked_at(address, asked.warm + turns, asked.searches + asked.warm)
    finally:
        process.terminate()
        process.join()
    painted = times["lists"][asked.warm :]
    own = inside(log, asked.warm + turns)[asked.warm :]
    found = {
        "items": asked.items,
        "strategies": " and ".join(asked.fusions),
        "load before and after": f"{begun:.1f} and {os.getloadavg()[0]:.1f}",
        "lists": painted.size,
        **told("a list painted", painted),
        **told("both painted", painted.max(1)),
        **told("pictures in view", times["pictures"][asked.warm :]),
        **told("in the service", own[..., 0]),
        **told("scoring", own[..., 1]),
        "share of scoring in a painted list": round(float(own[..., 1].sum() / painted.sum()), 3),
        **told("search painted", times["search"][asked.warm :]),
    }
    print(yaml.safe_dump(found, sort_keys=False), end="")


if __name__ == "__main__":
    main()
