"""ranx (Bassani, 2022): metrics compiled by numba, on lists that are built beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from peer_case import CUTOFFS, Case, Work

NAME = "ranx"
PACKAGES = ("ranx",)


def missing(case: Case) -> str:
    """Nothing: it is a package."""
    return ""


def metrics(case: Case) -> Work:
    """Recall and NDCG; what is timed is the evaluation alone, compiled before."""
    from ranx import Qrels, Run, evaluate

    relevant = case.grouped("test")
    scores = np.arange(max(CUTOFFS), 0, -1).tolist()
    qrels = Qrels({str(u): {str(i): 1 for i in items} for u, items in relevant.items()})
    shown = {
        str(user): dict(zip(map(str, case.lists[user].tolist()), scores, strict=True))
        for user in relevant
    }
    run_ = Run(shown)
    wanted = [f"{name}@{k}" for name in ("recall", "ndcg") for k in CUTOFFS]

    def figures() -> dict[str, float]:
        return {key: float(value) for key, value in evaluate(qrels, run_, wanted).items()}

    return Work(figures, figures)


WORKS: dict[str, Callable[[Case], Work]] = {"metrics": metrics}
