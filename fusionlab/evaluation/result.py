"""What an evaluation returns: a figure for every unit, and figures of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evaluation:
    """Scores of one split, kept for every unit: the user in ranking, the item in classification.

    ``units`` (n,) int64 are the rows of the units that were judged. ``per_unit[metric]`` (n,)
    float64, such as ``ndcg@20`` or ``accuracy``, is what a significance test compares.
    ``overall`` holds figures that no single unit has, such as ``coverage@20`` or ``macro_f1``.
    ``of_some[metric]`` (n,) are figures of some units only, such as ``ndcg@20 on cold items``; NaN
    stands where the unit has none. ``tied`` (n,) bool are users for whom every candidate has the
    same score, so that their lists were drawn (`fair_k`).
    """

    units: Tensor
    per_unit: dict[str, Tensor]
    overall: dict[str, float]
    of_some: dict[str, Tensor] = field(default_factory=dict)
    tied: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.bool))

    def means(self) -> dict[str, float]:
        """The mean over units (that have it) of each metric and the overall figures, in full
        precision.

        NumPy sums on one thread in a fixed order, so the number of threads changes no bit.
        """
        means = {name: float(values.numpy().mean()) for name, values in self.per_unit.items()}
        some = {name: values[~values.isnan()] for name, values in self.of_some.items()}
        means |= {name: float(values.numpy().mean()) for name, values in some.items()}
        return means | self.overall
