"""What a balancer costs: an epoch with each beside one with none, in alternating rounds.

``python benchmarks/balancers.py [names]`` prints a table: rows are all registered balancers, and
signals read in each step or every 25th; columns are strategies; 1.5 is half as long again.
Modalities have 384, 512 and 128 columns, an epoch has 25 steps of 2,048 clicks. So narrow, all
coalitions of a step are fused in one pass; with ``--wide`` each is fused by itself.
"""

import argparse
import os
import statistics
from functools import partial

# Before torch is imported: idle threads sleep instead of spinning on the other call's core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from framework import epoch
from paired import alternate
from rich.console import Console
from rich.table import Table
from shapes import BATCH

from fusionlab.balancing.contract import BALANCERS
from fusionlab.sections import Runtime
from fusionlab.studies.run import configure

WIDTHS = {"text": 384, "image": 512, "audio": 128}
WIDE = {"text": 768, "image": 4096, "audio": 512}
STEPS = 25
FUSIONS = ("concat_mlp", "gated")
NONE = "none, no signals"
SIGNALS = {NONE: 0, "none, signals each step": 1, f"none, signals each {STEPS}": STEPS}
REQUIRED = {"fixed_weights": {"weight": dict.fromkeys(WIDTHS, 1.0)}}
"""Options without which a balancer cannot be built."""


def balancers():
    """Every registered balancer, by its options."""
    others = [name for name in BALANCERS.names() if name != "none"]
    return {name: {"name": name, **REQUIRED.get(name, {})} for name in others}


def variants(fusion, widths):
    """What makes an epoch of each, by name; that of `NONE` first."""
    make = partial(epoch, "hybrid", fusion, count=STEPS * BATCH, **widths)
    calls = {name: partial(make, signals_every=every) for name, every in SIGNALS.items()}
    return calls | {name: partial(make, balancer=part) for name, part in balancers().items()}


def ratios(fusion, widths, names, rounds):
    """The ratio of medians to `NONE`, and its lowest and highest of a round."""
    calls = {
        name: make()
        for name, make in variants(fusion, widths).items()
        if not names or name in {NONE, *names}
    }
    seconds = alternate(calls, rounds)
    base = seconds.pop(NONE)
    return {
        name: (
            statistics.median(own) / statistics.median(base),
            *(choose(a / b for a, b in zip(own, base, strict=True)) for choose in (min, max)),
        )
        for name, own in seconds.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    known = [*SIGNALS, *balancers()]
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}; default: all")
    parser.add_argument("--fusion", action="append", help=f"default: {', '.join(FUSIONS)}")
    parser.add_argument("--wide", action="store_true", help="of 768, 4,096 and 512 columns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.names) - set(known):
        parser.error(f"found {', '.join(sorted(unknown))}, expected names of {', '.join(known)}")
    configure(Runtime(threads=options.threads), seed=0)
    fusions = options.fusion or FUSIONS
    widths = WIDE if options.wide else WIDTHS
    found = {f: ratios(f, widths, options.names, options.rounds) for f in fusions}
    table = Table("balancer", *fusions, box=None)
    for name in found[fusions[0]]:
        cells = (found[fusion][name] for fusion in fusions)
        table.add_row(name, *(f"{r:.2f} ({low:.2f} to {high:.2f})" for r, low, high in cells))
    Console().print(table)


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
