"""How fast the framework is beside MMRec, RecBole, Cornac, LensKit and ranx, measured in turn.

    pip install -e ".[peers]"
    git clone https://github.com/enoche/MMRec ~/MMRec
    python benchmarks/peers/compare.py --mmrec ~/MMRec
    python benchmarks/peers/compare.py --only bpr metrics --rounds 7

Everybody gets the same data of the shape of Amazon-Baby (19,445 users, 7,050 items, 117,826 train
clicks, 21,483 + 21,483 held out, features 4096 + 384, and 128 for a third modality), 64-d factors,
batches of 2,048, cut-offs 10 and 20, Recall and NDCG, the same number of threads and no GPU. The
framework is called as users call it (epochs and starts through `run_experiment`, evaluation through
`RankingTask`), the others through their own trainers and evaluators with their own defaults.

Each contender lives in a process of its own, sleeps until it is told to work, and answers with its
seconds; the contenders of a group take turns (A B C, A B C, ...), so that drift of the machine
falls on all alike. In its turn it works twice, and the second time counts: the first finds caches
and pages that went cold while others had their turns. A ratio is peer median / our median over the
rounds: above 1 we are faster. It means something on an otherwise idle machine only.

Before anything is timed, figures are compared: a peer that differs from ours by more than 1e-6 is
not timed. Of evaluation and metrics they are Recall and NDCG (evaluation ranks by the same user and
item vectors), of epochs in fp32 the loss of one step from the same weights, and the loss of the
same clicks after a step down the gradients of tables and projection, both without the penalties,
which toolkits define differently. Cornac and LensKit do not show the losses of their steps. Where a
peer defines a metric otherwise, ours is computed by its definition:

- MMRec rounds to four decimals; the rounding is switched off.
- RecBole also leaves validation items out of the ranking when it judges the test.
- LensKit's Recall@K divides by min(positives, K); its NDCG discounts ranks 1 and 2 alike unless
  told otherwise, as it is here.

What is not alike and cannot be: Cornac's BPR is SGD click by click (no batches, no Adam), it has no
LightGCN; Cornac's VBPR draws its epochs in NumPy; RecBole's default evaluation batch holds one user
of 7,050 items; the peers hold features unscaled and in fp32. With bf16 ours are held in it, and
steps computed in it where the CPU multiplies it. A peer that is not installed is listed as such.
Where one does not fit beside the others, ``--python RecBole=PATH`` gives it an interpreter of its
own, in which only that peer and NumPy need to be installed; ``--python PATH`` is for all peers.
RecBole needs ray 2.6.3 at most, hence Python 3.11 at most.

To add a toolkit, write a module beside these with ``PACKAGES``, ``missing(case)`` and ``WORKS``
(kind of work to a function that prepares it), name it in ``peer_rows.MODULES``, and add its rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from peer_case import Case
from peer_rounds import Key, Outcome, shared_figures, take_turns
from peer_rows import GROUPS, MODULES, OURS, Row
from rich.table import Table

from fusionlab.terminal import console, say, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure group by group, print, write; 1 if a contender broke or computes something else."""
    options = parse(arguments)
    outcomes: dict[Key, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        mmrec = str(options.mmrec.resolve()) if options.mmrec else ""
        case = Case(f"{folder}/baby-shaped", threads=options.threads, mmrec=mmrec)
        case.write()
        for name in options.only:
            with console.status(name) as status:
                outcomes |= take_turns(
                    GROUPS[name],
                    case,
                    interpreters(options.python),
                    rounds=options.rounds,
                    note=status.update,
                )
            show(table(name, GROUPS[name], outcomes))
            write(options.out, outcomes, case)  # after each group: a long call may be cut short
    say(*notes(outcomes), f"All rounds: {options.out}")
    return int(any(outcome.failed for outcome in outcomes.values()))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--mmrec", type=Path, metavar="PATH", help="a checkout of MMRec")
    add("--only", nargs="+", choices=GROUPS, default=[*GROUPS], help="groups to measure")
    add("--rounds", type=int, default=5, help="measured rounds (default 5)")
    add("--threads", type=int, default=os.cpu_count() or 1, help="of each contender")
    add("--python", action="append", default=[], metavar="[NAME=]PATH", help="of peers")
    add("--out", type=Path, default=Path("reports/peers.json"), help="JSON of all rounds")
    options = parser.parse_args(arguments)
    for given in options.python:
        name = given.rpartition("=")[0]
        if name and name not in MODULES:
            parser.error(f"--python: found {name!r}, expected one of {', '.join(MODULES)}")
    return options


def interpreters(given: Iterable[str]) -> dict[str, str]:
    """Toolkit to interpreter; ours is the one that runs this."""
    found = dict.fromkeys(MODULES, sys.executable)
    for one in sorted(given, key=lambda text: "=" in text):
        name, _, python = one.rpartition("=")
        found |= dict.fromkeys([name] if name else set(MODULES) - {OURS}, python)
    return found


def table(name: str, rows: Sequence[Row], outcomes: dict[Key, Outcome]) -> Table:
    """A line a row: medians, their ratio, the target and whether it is reached."""
    drawn = Table(
        title=f"{name}: seconds, medians; times faster = peer / ours", header_style="bold"
    )
    drawn.add_column("work")
    drawn.add_column("peer")
    for header in ("figures alike", "ours", "peer's", "times faster", "target"):
        drawn.add_column(header, justify="right")
    drawn.add_column("reached")
    for row in rows:
        ours, theirs = outcomes[OURS, row.ours], outcomes[row.peer, row.theirs]
        why = ours.why or theirs.why
        if why:
            drawn.add_row(row.title, row.peer, "", "", "", "", _target(row), why)
            continue
        ratio = times_faster(ours, theirs)
        seconds = [f"{statistics.median(one.seconds):.3g}" for one in (ours, theirs)]
        reached = "" if row.target is None else "yes" if ratio >= row.target else "no"
        alike = len(shared_figures(theirs, ours)) if row.ours == row.theirs else 0
        cells = [str(alike or ""), *seconds, f"{ratio:.2f}", _target(row), reached]
        drawn.add_row(row.title, row.peer, *cells)
    return drawn


def _target(row: Row) -> str:
    return "" if row.target is None else f"{row.target:g}"


def times_faster(ours: Outcome, theirs: Outcome) -> float:
    """The ratio of medians."""
    return statistics.median(theirs.seconds) / statistics.median(ours.seconds)


def notes(outcomes: dict[Key, Outcome]) -> list[str]:
    """Versions, a line a toolkit."""
    by_toolkit = {toolkit: one.versions for (toolkit, _), one in outcomes.items() if one.versions}
    return [
        f"{toolkit}: {', '.join(f'{name} {version}' for name, version in versions.items())}"
        for toolkit, versions in by_toolkit.items()
    ]


def write(file: Path, outcomes: dict[Key, Outcome], case: Case) -> None:
    """Everything measured: machine, versions, figures and the seconds of every round."""
    pairs = [
        (row, outcomes[OURS, row.ours], outcomes[row.peer, row.theirs])
        for rows in GROUPS.values()
        for row in rows
        if (OURS, row.ours) in outcomes and (row.peer, row.theirs) in outcomes
    ]
    ratios = [
        asdict(row) | {"times_faster": times_faster(ours, theirs)}
        for row, ours, theirs in pairs
        if not ours.why and not theirs.why
    ]
    data = {
        "machine": {
            "device": processor(),
            "platform": platform.platform(),
            "python": platform.python_version(),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        "case": {key: v for key, v in asdict(case).items() if key not in ("folder", "mmrec")},
        "rows": ratios,
        "contenders": [
            {"toolkit": toolkit, "work": work, **asdict(one)}
            for (toolkit, work), one in outcomes.items()
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data, indent=1) + "\n")


def processor() -> str:
    """As Linux calls it; elsewhere what Python knows of it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
