"""Users for whom a trained model has no preference at all are said loudly."""

from __future__ import annotations

from collections.abc import Mapping

from fusionlab.evaluation.result import Evaluation


def tied_users(evaluations: Mapping[str, Evaluation]) -> list[str]:
    """A sentence if there are users for whom every item has the same score, with how many of those
    judged they are; their lists are drawn, and are worth what `random` is worth."""
    told = [
        f"{int(found.tied.sum()):,} of {len(found.tied):,} users ({split})"
        for split, found in evaluations.items()
        if found.tied.any()
    ]
    if not told:
        return []
    return [f"{', '.join(told)}: every item has the same score (lists in random order)"]
