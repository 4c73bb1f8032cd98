"""Framework / by hand for every loop, in paired rounds: ``python benchmarks/ratios.py [names]``.

A ratio compares medians of alternating rounds within one process. The framework runs as a run does
(deterministic algorithms), the loop by hand without. Before epochs, negatives, evaluation and
metrics are timed, both must compute the same (`agreement`).
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import by_hand
import encoding
import framework
import judged_by_hand
import llm_prefix
import starting
import torch
from agreement import check_agreement
from paired import pair
from rich.console import Console
from rich.table import Table
from shapes import HELD_OUT, ITEMS, USERS, clicks

from fusionlab.linear import Linear
from fusionlab.sections import Runtime
from fusionlab.studies.run import configure
from fusionlab.training.sampling import NegativeSampler

VBPR = {"image": 4096, "text": 384}
NARROW = {"image": 64, "text": 32}
GATED = {**VBPR, "audio": 128}


def sampling():
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    theirs = by_hand.rejection(torch.Generator().manual_seed(0))
    return lambda: sampler.draw(clicks().users, 1, generator), theirs


def evaluation():
    users, items = framework.factors()
    theirs = judged_by_hand.evaluation(lambda: users, lambda: items)
    return framework.judging(("recall", "ndcg")), theirs


def metrics():
    draw = torch.Generator().manual_seed(0)
    lists = torch.rand(USERS, ITEMS, generator=draw).topk(20).indices
    held_out = clicks(HELD_OUT, 2)
    lists[held_out.users[::2], 3] = held_out.by_item[::2]  # some are hits
    return framework.metrics(lists), judged_by_hand.metrics(lists)


def hybrid(fusion, held_in, widths, theirs):
    return framework.epoch("hybrid", fusion, held_in, **widths), theirs(held_in)


def whole_run():
    return partial(framework.whole_run, 30), partial(by_hand.whole_run, 30)


def study():
    return partial(framework.study, 2), partial(framework.study, 1)


# name: (makes the pair of calls, the ratio not to be passed, or the two between which it must be)
PAIRS = {
    "sampling": (sampling, 1.15),
    "bpr": (lambda: (framework.epoch("bpr_mf"), by_hand.bpr()), 1.15),
    "bpr_without_autograd": (
        lambda: (framework.epoch("bpr_mf"), by_hand.BprWithoutAutograd()),
        None,
    ),
    "lightgcn": (lambda: (framework.epoch("lightgcn_id"), by_hand.lightgcn()), 1.15),
    "vbpr_fp32": (partial(hybrid, "concat", "fp32", VBPR, by_hand.vbpr), 1.15),
    "vbpr_bf16": (partial(hybrid, "concat", "bf16", VBPR, by_hand.vbpr), 1.15),
    "gated_fp32": (partial(hybrid, "gated", "fp32", GATED, by_hand.gated), 1.15),
    "gated_bf16": (partial(hybrid, "gated", "bf16", GATED, by_hand.gated), 1.15),
    # the loops by hand with the framework's matrix products: what the rest of it costs
    "vbpr_same_products": (
        partial(hybrid, "concat", "fp32", VBPR, partial(by_hand.vbpr, layer=Linear)),
        None,
    ),
    "gated_same_products": (
        partial(hybrid, "gated", "fp32", GATED, partial(by_hand.gated, layer=Linear)),
        None,
    ),
    # with narrow features: what neither products nor gathering cost
    "vbpr_narrow": (
        partial(hybrid, "concat", "fp32", NARROW, partial(by_hand.vbpr, **NARROW)),
        None,
    ),
    "evaluation": (evaluation, 1.15),
    "metrics": (metrics, 1.15),
    "whole_run": (whole_run, 1.08),
    "start": (partial(starting.calls, "hand_peer"), 1.15),
    "start_without_compiler": (partial(starting.calls, "hand_eager_peer"), None),
    "study": (study, 1 / 1.7),
    "encode_text": (partial(encoding.pair, "text"), 1.11),
    "encode_image": (partial(encoding.pair, "image"), 1.11),
    "encode_audio": (partial(encoding.pair, "audio"), 1.11),
    # what is kept beside reading all anew; tokens left: .20, .06, .07, and of the items .70
    "llm_prompt_16": (partial(llm_prefix.calls, "llm_prompt_16"), 0.3),
    "llm_prompt_64": (partial(llm_prefix.calls, "llm_prompt_64"), 0.3),
    "llm_text": (partial(llm_prefix.calls, "llm_text"), 0.3),
    "llm_distinct": (partial(llm_prefix.calls, "llm_distinct"), llm_prefix.distinct_limits),
}


BEFORE_A_RUN = {"encode_text", "encode_image", "encode_audio"}
"""Media are encoded before a run is set up, so without its deterministic algorithms."""


def passed(ratio, limit):
    """Is the ratio above its limit, or outside of both?"""
    if isinstance(limit, tuple):
        return not limit[0] <= ratio <= limit[1]
    return limit is not None and ratio > limit


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PAIRS)}; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    unknown = set(options.names) - set(PAIRS)
    if unknown:
        parser.error(f"found {', '.join(sorted(unknown))}, expected names of {', '.join(PAIRS)}")
    table = Table("pair", "framework s", "by hand s", "ratio (range)", "limit", box=None)
    found = []
    for name in options.names or PAIRS:
        make, limit = PAIRS[name]
        limit = limit() if callable(limit) else limit
        ours, theirs = make()
        framed = by_hand.bare if name in BEFORE_A_RUN else framework.as_a_run
        calls = framed(ours, options.threads), by_hand.bare(theirs, options.threads)
        if name not in BEFORE_A_RUN:
            configure(Runtime(threads=options.threads), seed=0)
            check_agreement(name, ours, theirs)
        row = pair(name, *calls, options.rounds).summary()
        found.append(row | {"limit": limit, "threads": options.threads})
        spread = f"{row['ratio']:.2f} ({row['lowest']:.2f} to {row['highest']:.2f})"
        most = " to ".join(f"{x:.2f}" for x in limit) if isinstance(limit, tuple) else limit
        table.add_row(name, f"{row['ours']:.3f}", f"{row['theirs']:.3f}", spread, str(most or ""))
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    Console().print(table)
    return int(any(passed(row["ratio"], row["limit"]) for row in found))


if __name__ == "__main__":
    sys.exit(main())
