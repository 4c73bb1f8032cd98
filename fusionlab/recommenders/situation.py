"""What the situation of a click adds to the user where a strategy weighs its views."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionlab.data.by_name import ByName
from fusionlab.data.situations import Situations
from fusionlab.fusion.contract import Fusion


class Situation(nn.Module):
    """The query of `Fusion.view_weights` in a situation x: the user's views, moved by it.

    q'_uk = q_uk + sum_c E_c[x_c]  for all K views, over the context columns c

    E_c is (C + 1, D), a row a value and one for what is unknown. It starts at zero: a run begins as
    one that knows of no situation. Scores by view stay <q_uk, v_ik>: the situation says how much a
    view counts, nothing of the items.

    Args:
        situations: the columns and their values; those that it ``reads`` count.
        dim: D.
    """

    unknown: Tensor
    columns: Tensor

    def __init__(self, situations: Situations, dim: int) -> None:
        super().__init__()
        self.tables = ByName(
            {
                name: nn.Parameter(torch.zeros(len(situations.values[name]) + 1, dim))
                for name in situations.reads
            }
        )
        columns = [[*situations.values].index(name) for name in situations.reads]
        self.register_buffer("columns", torch.tensor(columns), persistent=False)
        self.register_buffer("unknown", situations.unknown, persistent=False)

    def forward(self, query: Tensor, situations: Tensor | None) -> Tensor:
        """Views (b, K, D) of users in ``situations`` (b, n); None: all of it unknown."""
        codes = self.unknown[None] if situations is None else situations
        read = codes[:, self.columns].unbind(1)
        moved = [table[x] for table, x in zip(self.tables.values(), read, strict=True)]
        return query + torch.stack(moved).sum(0)[:, None]


def situation_of(
    situations: Situations | None, fusion: Fusion | None, dim: int
) -> Situation | None:
    """The module, or None where nothing is told or no weights of ``fusion`` would depend on it."""
    if situations is None or not situations.reads or fusion is None:
        return None
    return Situation(situations, dim) if fusion.by_query and fusion.n_views > 1 else None
