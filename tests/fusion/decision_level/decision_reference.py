"""Second computations: views and scores from the formulas, in float64 and plain Python loops."""

from dataclasses import dataclass
from math import exp, log

import numpy as np
import pytest
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.checks import Subject
from fusionlab.fusion.contract import FUSIONS, Fusion

MODALITIES = [1, 2, 3, 4]
USERS = 5


def build(part, modalities):
    """A strategy in float64 with every parameter drawn at random (none at a convenient zero)."""
    fusion = Subject(FUSIONS.parse(part), modalities).build().double()
    draw = torch.Generator().manual_seed(7)
    for parameter in fusion.parameters():
        noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        parameter.data.copy_(0.4 * noise)
    return fusion


def random_items(modalities, n=24, seed=3):
    """Items with missing tokens, missing modalities and NaN behind the mask; item 0 has nothing."""
    items = Subject(FUSIONS.parse("mean_scores"), modalities).items(n, seed)
    values = {
        name: torch.where(items.mask[name][..., None], x.double(), torch.nan)
        for name, x in items.values.items()
    }
    return ItemFeatures(values, items.mask)


@dataclass
class Case:
    """Users' queries against items, as the strategy sees them and as nested Python numbers.

    ``queries[u][m]`` is a vector and ``scores[u][i]`` maps the modalities that item i has to the
    scores of user u. User 0 has no view of anything.
    """

    fusion: Fusion
    query: torch.Tensor
    given: torch.Tensor
    present: torch.Tensor
    queries: list
    scores: list

    @property
    def state(self):
        return {name: tensor.numpy() for name, tensor in self.fusion.state_dict().items()}

    def combined(self):
        return self.fusion.combine(self.given, self.query, self.present).detach().numpy()

    def weights(self):
        return self.fusion.view_weights(self.given, self.query, self.present).detach().numpy()


def views_by_loops(fusion, items):
    """View m of an item is W_m (mean of the tokens that are on) + b_m; no entry where absent."""
    state = fusion.state_dict()
    found = []
    for row in range(len(items)):
        views = {}
        for name, x in items.values.items():
            tokens = [x[row, t].numpy() for t in range(x.shape[1]) if items.mask[name][row, t]]
            if tokens:
                weight, bias = (
                    state[f"project.{name}.{part}"].numpy() for part in ("weight", "bias")
                )
                views[name] = weight @ (sum(tokens) / len(tokens)) + bias
        found.append(views)
    return found


def case(part, modalities, dtype=torch.float64):
    """Random items, half of a modality's missing, and random users."""
    fusion, items = build(part, modalities), random_items(modalities)
    views = views_by_loops(fusion, items)
    assert {len(v) for v in views} == set(range(modalities + 1)), "some subsets were not met"
    draw = torch.Generator().manual_seed(5)
    query = torch.randn(USERS, modalities, fusion.dim, generator=draw, dtype=torch.float64)
    query[0] = 0
    queries = [dict(zip(fusion.specs, q.numpy(), strict=True)) for q in query]
    scores = [[{m: q[m] @ v[m] for m in v} for v in views] for q in queries]
    with torch.no_grad():
        fused = fusion(items)
    given = torch.einsum("ukd,nkd->unk", query, fused.views)
    present = fused.present.expand(given.shape)
    return Case(fusion.to(dtype), query.to(dtype), given.to(dtype), present, queries, scores)


def assert_views_are_linear(part, modalities):
    """The strategy's views equal the plain loop's, and are absent where it has none."""
    fusion, items = build(part, modalities), random_items(modalities)
    fused = fusion(items)
    for row, views in enumerate(views_by_loops(fusion, items)):
        for column, name in enumerate(fusion.specs):
            assert fused.present[row, column].item() == (name in views)
            expected = views.get(name, np.zeros(fusion.dim))
            np.testing.assert_allclose(fused.views[row, column].detach(), expected, atol=1e-10)


def assert_combines(part, modalities, formula, weights=None):
    """Views are linear, and ``combine`` equals ``formula(state, queries of u, scores of u)``.

    ``formula`` returns a number a candidate. ``weights``, called likewise, returns for each
    candidate a share a modality; without it the score must be the sum of shares times scores.
    """
    assert_views_are_linear(part, modalities)
    found = case(part, modalities)
    combined, shares = found.combined(), found.weights()
    for u in range(USERS):
        expected = formula(found.state, found.queries[u], found.scores[u])
        np.testing.assert_allclose(combined[u], expected, atol=1e-6, rtol=1e-6)
        wanted = weights and weights(found.state, found.queries[u], found.scores[u])
        for i, scores in enumerate(found.scores[u]):
            share = dict(zip(found.fusion.specs, shares[u, i], strict=True))
            assert all(share[m] == 0 for m in share if m not in scores)
            if scores:
                assert sum(share.values()) == pytest.approx(1, abs=1e-6)
            for m in scores if wanted else ():
                assert share[m] == pytest.approx(wanted[i][m], abs=1e-6)
            if not wanted:
                total = sum(share[m] * s for m, s in scores.items())
                assert combined[u, i] == pytest.approx(total, abs=1e-6)


def softmax(logits):
    """Shares of a dict of logits."""
    total = sum(exp(x) for x in logits.values())
    return {name: exp(x) / total for name, x in logits.items()}


def by_modality(scores):
    """The scores of one user, a list of dicts, as one list a modality (present ones alone)."""
    return {m: [s[m] for s in scores if m in s] for m in {m for s in scores for m in s}}


def log_mean_exp(values):
    return log(sum(exp(x) for x in values) / len(values))
