"""Do to every command that writes what a machine may do to it, and count what does not hold.

    python benchmarks/faults.py
    python benchmarks/faults.py --only train "kill -9" --tries 20
    python benchmarks/faults.py --write docs/reliability.md

Each try is a process forked from this one, which has imported everything: it is killed, or its
disk is full, or a byte of what it left is changed; then the command is given again, undisturbed,
and what comes out must be what comes out where nothing happened. A result is acknowledged once the
command has said so, or it stands in the store; it is lost if it is gone, or other, ever after.
Moments, bytes and sizes are drawn from a seed. The end is 1 if anything did not hold.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import re
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from faults_bench import Bench, Cell
from faults_commands import OPERATIONS
from faults_experiments import ENCODED, EXPERIMENT, STUDY
from faults_injected import FAULTS
from faults_operations import fresh, undisturbed
from faults_processes import asked

Row = dict[str, Cell]
KILLS = ("kill -9", "SIGTERM")
MARKS = ("<!-- made by benchmarks/faults.py -->", "<!-- end -->")
TRIES = {"corrupted byte": 4, "disk full": 2}
"""Where it is not the common number."""


def imported_by(names: list[str]) -> list[str]:
    """The modules that operations were seen to import, found in a process that ends with it."""
    with tempfile.TemporaryDirectory() as folder:

        def look() -> list[str]:
            for name in names:
                place, operation = fresh(Path(folder) / name), OPERATIONS[name]
                operation.prepare(place)
                with suppress(SystemExit):
                    operation.work(place)
                operation.result(place)
            return [one for one in sys.modules if one.partition(".")[0] != "__main__"]

        return list(asked(look, fresh(Path(folder) / "all").aside))


def warm_up(names: list[str]) -> None:
    """Import here what the operations import, so that forked processes have it."""
    import importlib

    for module in imported_by(names):
        if module not in sys.modules:
            with suppress(ImportError):
                importlib.import_module(module)
    from fusionlab.config import load_config

    with tempfile.TemporaryDirectory() as folder:  # parts register when a configuration is read
        for text in (EXPERIMENT, ENCODED, STUDY):
            file = Path(folder) / "asked.yaml"
            file.write_text(text)
            load_config(file, (), ())


def tried(
    names: list[str], faults: list[str], tries: dict[str, int], kills: dict[str, int], seed: int
) -> dict[str, Row]:
    """Every operation under every fault."""
    table = {}
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            peace = undisturbed(OPERATIONS[name], root)
            print(f"{name}: {peace.seconds:.1f} s undisturbed", flush=True)
            table[name] = {}
            for fault in faults:
                draw = random.Random(f"{seed} {name} {fault}")
                more = {"SIGTERM": kills[name] // 4, "kill -9": kills[name] - kills[name] // 4}
                count = tries[fault] + more.get(fault, 0)
                cell = FAULTS[fault](Bench(OPERATIONS[name], peace, root, draw), count)
                table[name][fault] = cell
                print(f"  {fault:18} {told(cell)}", flush=True)
                for problem in cell.problems[:5]:
                    print(f"    {problem}", flush=True)
    return table


def told(cell: Cell) -> str:
    """``held 12 of 12``, and what was lost, if anything was."""
    if cell.skipped:
        return f"not tried: {cell.skipped}"
    verdict = (
        f"held {cell.held} of {cell.tries}"
        if cell.held == cell.tries
        else (f"DOES NOT HOLD: {cell.tries - cell.held} of {cell.tries}")
    )
    return verdict + (f", {cell.lost} LOST" if cell.lost else "")


def markdown(table: dict[str, Row], faults: list[str], command: str, seconds: float) -> str:
    """The table, and on what it was made."""
    cells = [cell for row in table.values() for cell in row.values()]
    killed = sum(row[fault].tries for row in table.values() for fault in KILLS if fault in row)
    lines = ["| | " + " | ".join(table) + " |", "|---|" + "---|" * len(table)]
    for fault in faults:
        found = " | ".join(told(row[fault]).replace("held ", "") for row in table.values())
        lines.append(f"| {fault} | {found} |")
    lines += [
        "",
        f"{sum(c.held for c in cells):,} of {sum(c.tries for c in cells):,} tries held; "
        f"{killed:,} processes were killed; {sum(c.lost for c in cells)} acknowledged results were "
        f"lost. `{command}`, {seconds:.0f} s, {datetime.now(UTC):%Y-%m-%d}, "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Try, count and tell."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[], help="operations and faults; default: all")
    parser.add_argument("--kills", type=int, default=210, help="of all operations together")
    parser.add_argument("--tries", type=int, help="of every fault; default: 1 to 4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, help="Markdown between whose marks the table is put")
    given = parser.parse_args()
    names = [one for one in OPERATIONS if one in given.only] or [*OPERATIONS]
    faults = [one for one in FAULTS if one in given.only] or [*FAULTS]
    if unknown := {*given.only} - {*OPERATIONS, *FAULTS}:
        parser.error(f"--only: {unknown}: expected some of {', '.join([*OPERATIONS, *FAULTS])}")
    tries = {fault: given.tries or TRIES.get(fault, 1) for fault in faults}
    if not given.tries:
        tries |= dict.fromkeys(set(KILLS) & tries.keys(), 0)
    started = time.perf_counter()
    warm_up(names)
    shares = {one: OPERATIONS[one].share for one in names}
    parts = sum(shares.values())
    kills = {one: 0 if given.tries else -(-given.kills * shares[one] // parts) for one in names}
    table = tried(names, faults, tries, kills, given.seed)
    command = "python benchmarks/faults.py" + (
        f" --kills {given.kills}" if given.kills != 210 else ""
    )
    text = markdown(table, faults, command, time.perf_counter() - started)
    print(text)
    if given.write:
        page = given.write.read_text()
        marked = re.compile(f"{MARKS[0]}.*{MARKS[1]}", re.DOTALL)
        given.write.write_text(marked.sub(f"{MARKS[0]}\n{text}\n{MARKS[1]}", page))
    cells = [cell for row in table.values() for cell in row.values()]
    raise SystemExit(any(cell.held != cell.tries or cell.lost for cell in cells))


if __name__ == "__main__":
    main()
