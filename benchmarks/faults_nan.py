"""Numbers that are none: in a loss, in features, in a rating."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from faults_bench import Bench, Cell
from faults_operations import Place
from faults_processes import ended, forked


def not_a_number(bench: Bench, tries: int) -> Cell:
    """A loss becomes NaN in a step that is drawn; features of an item; a rating."""
    cell = Cell()
    for _ in range(tries):
        place = bench.place()
        cell.add(NAN.get(bench.operation.name, _nan_loss)(bench, place))
    return cell


def _nan_loss(bench: Bench, place: Place) -> str:
    from fusionlab.studies.store import DIVERGED_FILE

    number = bench.draw.randrange(1, 12)
    note = place.aside / "batch"
    status, said = bench.run(place, lambda: nan_in_step(number, note))
    files = [*place.runs.glob(f".partial/*/{DIVERGED_FILE}")]
    if status != 1 or not files or not all(str(file) in said for file in files):
        return f"ended with {status}, {len(files)} batches kept: {said[-300:]}"
    step, *pairs = note.read_text().splitlines()
    kept = [row for file in files for row in file.read_text().splitlines()[1:]]
    named = [row.split(",")[0] for row in kept] == [pair.split(",")[0] for pair in pairs]
    if f"step {step}," not in said or not named:
        return f"not step {step} of {pairs[:2]} but {kept[:2]}: {said[-300:]}"
    return bench.finished(place)


def nan_in_step(number: int, note: Path) -> None:
    """Make the loss of the n-th step of this process NaN, and note which step of its epoch it was,
    and its users and items."""
    from dataclasses import replace

    from fusionlab.training.ranking import RankingTask

    seen, batches, step = 0, RankingTask.batches, RankingTask.step

    def noted(task: RankingTask, generator: Any) -> Iterator[Any]:
        nonlocal seen
        for place, batch in enumerate(batches(task, generator), 1):
            seen += 1
            if seen == number:
                users, items = task.train.users[batch.clicks], task.train.items[batch.clicks]
                names = task.interactions.user_ids[users.tolist()]
                rows = [f"{u},{i}" for u, i in zip(names, items.tolist(), strict=True)]
                note.write_text("\n".join([str(place), *rows]))
            yield batch

    def spoiled(task: RankingTask, batch: Any, generator: Any) -> Any:
        found = step(task, batch, generator)
        return replace(found, joint=found.joint * float("nan")) if seen == number else found

    patch.multiple(RankingTask, batches=noted, step=spoiled).start()


def _nan_features(bench: Bench, place: Place) -> str:
    status, said = bench.run(place, nan_in_a_forward_pass)
    reports = [f.read_text() for f in place.runs.glob("features/*/*/report.csv")]
    bad = [report.count("corrupt,its features are not finite") for report in reports]
    return "" if (status, bad) == (0, [1, 1]) else f"ended with {status}, {bad}: {said[-300:]}"


def nan_in_a_forward_pass() -> None:
    """Let the first features of every column be NaN."""
    import torch

    from fusionlab.encoders.blocks import BlockEncoder

    forward, spoiled = BlockEncoder._forward, set[int]()

    def with_nan(encoder: Any, contents: Any, samples: Any) -> Iterator[Any]:
        for content, values, mask in forward(encoder, contents, samples):
            first = id(encoder) not in spoiled
            spoiled.add(id(encoder))
            yield content, torch.full_like(values, torch.nan) if first else values, mask

    patch.object(BlockEncoder, "_forward", with_nan).start()


def _nan_rating(bench: Bench, place: Place) -> str:
    from fusionlab.cli import main

    run, ((user, item), *_) = json.loads((place.aside / "before").read_text())
    words = ["feedback", run, "add", "--user", user, "--item", item, "--runs", str(place.runs)]
    for more in (["--kind", "rating", "--rating", "nan"], ["--kind", "click", "--time", "nan"]):
        status = ended(forked(lambda more=more: main([*words, *more]), place.aside / "out"))
        said = (place.aside / "out").read_text()
        if status != 1 or "found nan" not in said or bench.operation.present(place):
            return f"{more} ended with {status}: {said}"
    return bench.finished(place)


def _nan_trial(bench: Bench, place: Place) -> str:
    status, said = bench.run(place, lambda: nan_in_step(2, place.aside / "batch"))
    trials = [file.read_text() for file in bench.operation.files(place)]
    diverged = sum('"outcome": "diverged"' in trial for trial in trials)
    found = (status, diverged, len(trials))
    return "" if found == (0, 1, 4) else f"{found}: {said[-300:]}"


NAN: dict[str, Callable[[Bench, Place], str]] = {
    "encode": _nan_features,
    "tune": _nan_trial,
    "feedback": _nan_rating,
}
"""Where it is no loss."""
