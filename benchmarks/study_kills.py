"""Kill a study again and again, and look whether its quality table ends as if nobody had.

    python benchmarks/study_kills.py configs/studies/quickstart.yaml --kills 20 --workers 2

First the study runs in peace, with one worker, in a store of its own. Then it runs in another
store and is ended with SIGKILL at a random moment, as often as asked; then it may finish. The two
quality tables must be the same, byte for byte, and so must what tuning chose. Moments are drawn
from the time that the peaceful run took, so that the kills fall all over the study: each attempt
lives for about 1 / (kills + 1) of it beyond what it takes to start. An attempt that finishes is not
a kill: it begins anew in an empty store, and that is told.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLES = ("quality.md", "quality.csv", "quality.tex")


def command(study: str, overrides: list[str], folder: Path, workers: int) -> list[str]:
    return [
        *(sys.executable, "-m", "fusionlab", "study", study, *overrides),
        *("--runs", str(folder / "runs"), "--out", str(folder / "report")),
        *("--workers", str(workers)),
    ]


def run(asked: list[str]) -> float:
    """Seconds that a study takes; its output if it fails."""
    started = time.perf_counter()
    done = subprocess.run(asked, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise SystemExit(f"{' '.join(asked)} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def killed_after(asked: list[str], seconds: float) -> bool:
    """Start, kill everything after ``seconds``; False if it was over by then."""
    process = subprocess.Popen(
        asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        raise SystemExit(f"{' '.join(asked)} ended by itself, with status {process.returncode}")
    return False


def environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parent.parent)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def left_of(runs: Path) -> tuple[int, int]:
    """Finished trials and finished runs."""
    return len(list(runs.glob("searches/*/*/trial.json"))), len(list(runs.glob("*/record.json")))


def kill_again_and_again(
    asked: list[str], folder: Path, kills: int, whole: float, start: float, draw: random.Random
) -> int:
    """Kill so often; how many attempts finished first, and began anew."""
    finished = done = 0
    while done < kills:
        lives = start + draw.uniform(0, 2) * max(whole - start, 0) / (kills + 1)
        if killed_after(asked, lives):
            done += 1
            trials, runs = left_of(folder / "runs")
            print(f"kill {done} after {lives:.1f} s: {trials} trials, {runs} runs", flush=True)
        else:
            finished += 1
            shutil.rmtree(folder)
    return finished


def main() -> None:
    """Run in peace, run under fire, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("overrides", nargs="*", help="key.sub=value")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as top:
        peace, fire = Path(top) / "peace", Path(top) / "fire"
        whole = run(command(asked.study, asked.overrides, peace, 1))
        start = run(command(asked.study, asked.overrides, peace, 1))  # nothing left to do
        print(f"uninterrupted: {whole:.0f} s; with nothing left to do {start:.0f} s", flush=True)
        under_fire = command(asked.study, asked.overrides, fire, asked.workers)
        anew = kill_again_and_again(under_fire, fire, asked.kills, whole, start / 2, draw)
        run(under_fire)
        for name in TABLES:
            one, other = ((folder / "report" / name).read_bytes() for folder in (peace, fire))
            assert one == other, f"{name} is another after {asked.kills} kills"
        before, after = left_of(peace / "runs"), left_of(fire / "runs")
        assert before == after, f"trials and runs: {after}, expected {before}"
        assert not any((fire / "runs" / ".partial").iterdir()), "something was left half done"
    print(
        f"{asked.kills} kills, {asked.workers} workers: the same quality table, {after[0]} trials "
        f"and {after[1]} runs ({anew} attempts finished before they were killed)"
    )


if __name__ == "__main__":
    main()
