"""Kill a study again and again, and look whether its quality table ends as if nobody had.

    python benchmarks/study_kills.py configs/studies/quickstart.yaml --kills 20 --workers 2
    python benchmarks/study_kills.py configs/studies/quickstart.yaml --kills 20 --ray local
    python benchmarks/study_kills.py configs/studies/quickstart.yaml --ray local --kill-workers

First the study runs in peace, with one worker, in a store of its own. Then it runs in another
store and is ended with SIGKILL at a random moment, as often as asked; then it may finish. The two
quality tables must be the same, byte for byte. Kills fall all over the study: each attempt may
finish a random number of trials and runs, about 1 / (kills + 1) of all, and dies a random time
after the last of them; one that may finish none dies while it starts, or inside the first. An
attempt that is over before is no kill: its table is compared, and it begins anew in an empty store.
With `--kill-workers` the study itself lives on, and it is Ray's workers that are killed, each at a
random moment in the midst of its job: Ray begins the job again. A job that was killed more often
than Ray does so fails at the study's end, and the same command goes on from there. (On Linux.)
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
from collections.abc import Iterator
from pathlib import Path

TABLES = ("quality.md", "quality.csv", "quality.tex")


def command(
    study: str, overrides: list[str], folder: Path, workers: int, ray: str | None = None
) -> list[str]:
    return [
        *(sys.executable, "-m", "fusionlab", "study", study, *overrides),
        *("--runs", str(folder / "runs"), "--out", str(folder / "report")),
        *(("--workers", str(workers)) if ray is None else ("--ray", ray)),
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


def kill_workers(asked: list[str], fire: Path, peace: Path, kills: int, draw: random.Random) -> int:
    """Kill so many workers of Ray at work; how often the study was over first, and began anew."""
    total, over, done = sum(left_of(peace / "runs")), 0, 0
    while done < kills:
        study = subprocess.Popen(
            asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
        )
        while study.poll() is None and done < kills:
            until = sum(left_of(fire / "runs")) + draw.randint(0, round(2 * total / (kills + 1)))
            while study.poll() is None and sum(left_of(fire / "runs")) < min(until, total - 1):
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 1))
            victims = [*workers_of(study.pid)]
            if victims:
                os.kill(draw.choice(victims), signal.SIGKILL)
                done += 1
                print(f"kill {done}: {left_of(fire / 'runs')} trials and runs are done", flush=True)
        if study.wait():
            print("a job was killed too often for Ray; the study goes on", flush=True)
        elif done < kills:
            over += 1
            compare(peace, fire)
            shutil.rmtree(fire)
    return over


def workers_of(study: int) -> Iterator[int]:
    """Processes of a local Ray of the study that are at a job."""
    parents = {}
    busy = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            title = (file.parent / "cmdline").read_bytes()
            parents[int(file.parent.name)] = int(file.read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):  # it has ended
            continue
        if title.startswith(b"ray::_work_there"):
            busy.append(int(file.parent.name))
    for process in busy:
        above = process
        while above in parents and above != study:
            above = parents[above]
        if above == study:
            yield process


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
    parser.add_argument("--ray", metavar="ADDRESS", help="of a cluster, or local")
    parser.add_argument("--kill-workers", action="store_true", help="of --ray local")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    asked = parser.parse_args()
    if asked.kill_workers and asked.ray != "local":
        parser.error("--kill-workers needs --ray local")
    with tempfile.TemporaryDirectory() as top:
        peace, fire = Path(top) / "peace", Path(top) / "fire"
        whole = run(command(asked.study, asked.overrides, peace, 1))
        start = run(command(asked.study, asked.overrides, peace, 1))  # nothing left to do
        print(f"uninterrupted: {whole:.0f} s; with nothing left to do {start:.0f} s", flush=True)
        under_fire = command(asked.study, asked.overrides, fire, asked.workers, asked.ray)
        draw = random.Random(asked.seed)
        if asked.kill_workers:
            over = kill_workers(under_fire, fire, peace, asked.kills, draw)
        else:
            over = kill_again_and_again(under_fire, fire, peace, asked.kills, start, draw)
        run(under_fire)
        compare(peace, fire)
        trials, runs = left_of(fire / "runs")
    how = f"--workers {asked.workers}" if asked.ray is None else f"--ray {asked.ray}"
    whom = " of workers" if asked.kill_workers else ""
    print(
        f"{asked.kills} kills{whom}, {how}: the same quality table, byte for byte; "
        f"{trials} trials, {runs} runs ({over} attempts were over before they were killed)"
    )


if __name__ == "__main__":
    main()
