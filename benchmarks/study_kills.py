"""Kill a study again and again, and look whether its quality table ends as if nobody had.

    python benchmarks/study_kills.py configs/studies/quickstart.yaml --kills 20 --workers 2

First the study runs in peace, with one worker, in a store of its own. Then it runs in another
store and is ended with SIGKILL at a random moment, as often as asked; then it may finish. The two
quality tables must be the same, byte for byte. Kills fall all over the study: each attempt may
finish a random number of trials and runs, about 1 / (kills + 1) of all, and dies a random time
after the last of them; one that may finish none dies while it starts, or inside the first. An
attempt that is over before is no kill: its table is compared, and it begins anew in an empty store.
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


def killed(asked: list[str], runs: Path, more: int, seconds: float) -> bool:
    """Start, and kill so many ``seconds`` after it finished so many ``more`` trials and runs; False
    if it was over by then."""
    until = sum(left_of(runs)) + more
    process = subprocess.Popen(
        asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )
    while process.poll() is None and sum(left_of(runs)) < until:
        time.sleep(0.02)
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
    asked: list[str], fire: Path, peace: Path, kills: int, start: float, draw: random.Random
) -> int:
    """Kill so often; how many attempts were over first, and began anew."""
    total, over, done = sum(left_of(peace / "runs")), 0, 0
    while done < kills:
        more = draw.randint(0, round(2 * total / (kills + 1)))
        seconds = draw.uniform(0, 1) if more else draw.uniform(0, start)
        if killed(asked, fire / "runs", more, seconds):
            done += 1
            trials, runs = left_of(fire / "runs")
            print(f"kill {done}: {trials} trials and {runs} runs are done", flush=True)
        else:
            over += 1
            compare(peace, fire)
            shutil.rmtree(fire)
    return over


def compare(peace: Path, fire: Path) -> None:
    """AssertionError unless both ended with the same tables, trials and runs, and nothing else."""
    for name in TABLES:
        one, other = ((folder / "report" / name).read_bytes() for folder in (peace, fire))
        assert one == other, f"{name} is another"
    before, after = left_of(peace / "runs"), left_of(fire / "runs")
    assert before == after, f"found {after} trials and runs, expected {before}"
    assert not any((fire / "runs" / ".partial").iterdir()), "something was left half done"


def main() -> None:
    """Run in peace, run under fire, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("overrides", nargs="*", help="key.sub=value")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        peace, fire = Path(top) / "peace", Path(top) / "fire"
        whole = run(command(asked.study, asked.overrides, peace, 1))
        start = run(command(asked.study, asked.overrides, peace, 1))  # nothing left to do
        print(f"uninterrupted: {whole:.0f} s; with nothing left to do {start:.0f} s", flush=True)
        under_fire = command(asked.study, asked.overrides, fire, asked.workers)
        draw = random.Random(asked.seed)
        over = kill_again_and_again(under_fire, fire, peace, asked.kills, start, draw)
        run(under_fire)
        compare(peace, fire)
        trials, runs = left_of(fire / "runs")
    print(
        f"{asked.kills} kills, --workers {asked.workers}: the same quality table, byte for byte; "
        f"{trials} trials, {runs} runs ({over} attempts were over before they were killed)"
    )


if __name__ == "__main__":
    main()
