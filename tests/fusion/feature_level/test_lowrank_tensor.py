"""lowrank_tensor equals the full weight tensor that its factors stand for."""

from itertools import product

import numpy as np
import pytest
import torch
from feature_reference import (
    MODALITIES,
    affine,
    assert_equals_formula,
    build,
    parity_accuracy,
    random_items,
    state_of,
)

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FUSIONS


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("rank", [1, 4])
def test_equals_the_formula(modalities, rank):
    def formula(state, x):
        dim = len(state["bias"])
        view = state["bias"].copy()
        for r in range(rank):
            term = np.full(dim, state["rank_weights"][r])
            for name in x:
                term = term * affine(state, f"factors.{name}", x[name])[r * dim : (r + 1) * dim]
            view = view + term
        return view

    assert_equals_formula({"name": "lowrank_tensor", "rank": rank}, modalities, formula)


def test_equals_the_full_tensor_of_the_paper():
    """v = W . ([x_1; 1] x [x_2; 1] x [x_3; 1]) + b with W = sum_r w_r f_1^r x f_2^r x f_3^r."""
    fusion = build({"name": "lowrank_tensor", "rank": 2}, 3)
    items = random_items(3)
    full = [
        row for row in range(len(items)) if all(items.present(n)[row] for n in items.modalities)
    ]
    state, dim = state_of(fusion), fusion.dim
    factors = [
        np.column_stack([state[f"factors.{n}.weight"], state[f"factors.{n}.bias"]]).reshape(
            2, dim, -1
        )
        for n in items.modalities
    ]
    tensor = sum(
        state["rank_weights"][r] * np.einsum("di,dj,dk->dijk", *(factor[r] for factor in factors))
        for r in range(2)
    )
    views = fusion(items).views.detach()
    for row in full[:3]:
        x = [items.values[n][row][items.mask[n][row]].mean(0).numpy() for n in items.modalities]
        x = [np.append(part, 1.0) for part in x]
        expected = state["bias"].copy()
        for i, j, k in product(*(range(len(part)) for part in x)):
            expected += tensor[:, i, j, k] * x[0][i] * x[1][j] * x[2][k]
        np.testing.assert_allclose(views[row, 0], expected, atol=1e-9)
    assert len(full) >= 3


def test_the_column_that_meets_the_one_starts_at_one():
    """So that where nothing is known (x = 0) every factor is one and v = sum_r w_r."""
    fusion = FUSIONS.parse("lowrank_tensor").build(random_items(4).specs, 16).double()
    items = random_items(4)
    nothing = ItemFeatures({n: 0 * x.nan_to_num() for n, x in items.values.items()}, items.mask)
    views = fusion(nothing).views[:, 0][items.present("text")]
    assert torch.allclose(views, fusion.rank_weights.sum().expand(views.shape), atol=1e-12)
    assert views.abs().max() > 0


@pytest.mark.parametrize("modalities", [2, 3])
def test_learns_what_no_modality_knows_alone(modalities):
    assert parity_accuracy("lowrank_tensor", modalities) > 0.95
