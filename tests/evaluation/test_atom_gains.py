"""Gains by atom against their definitions, written out in loops."""

import itertools

import numpy as np
import pytest
import torch

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.atom_gains import class_gains, ranking_gains


def truth_of(**options):
    return Synthetic(**{"users": 4, "items": 40, "clicks": 10, **options}).load().truth


def no_clicks(truth):
    users, items = truth.tastes.shape[0], len(truth.observed)
    return Clicks(torch.zeros(users + 1).long(), torch.zeros(0).long(), items)


def test_ranking_gain_is_its_definition_over_pairs_of_candidates():
    truth = truth_of(users=5, items=17, alphabet=3)
    draw = torch.Generator().manual_seed(1)
    scores = torch.randn(5, 17, generator=draw).round(decimals=1)  # with ties
    train = Clicks.from_pairs(np.array([0, 0, 2, 4]), np.array([3, 9, 0, 16]), 5, 17)
    clicked = set(zip(train.users.tolist(), train.items.tolist(), strict=True))
    want = {}
    for atom in truth.atoms:
        parts = truth.atom_utility(torch.arange(5), atom.name)
        by_user = []
        for u in range(5):
            candidates = [i for i in range(17) if (u, i) not in clicked]
            by_user.append(
                np.mean(
                    [
                        float((scores[u, i] - scores[u, j]).sign() * (parts[u, i] - parts[u, j]))
                        for i, j in itertools.product(candidates, candidates)
                    ]
                )
            )
        want[atom.name] = np.mean(by_user)
    for block in (1, 2, 256):
        found = ranking_gains(truth, lambda u: scores[u].clone(), train, block=block)
        assert found == pytest.approx(want, abs=1e-6)


def test_no_ranking_gains_more_over_all_atoms_than_the_true_utility():
    truth = truth_of(users=200, items=500, popularity=0)
    nothing = no_clicks(truth)
    best = ranking_gains(truth, truth.utility, nothing)
    additive = ranking_gains(truth, truth.additive_utility, nothing)
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 500, generator=draw)
    ignorant = ranking_gains(truth, lambda users: noise[users], nothing)
    monotone = ranking_gains(truth, lambda users: truth.utility(users).exp(), nothing)
    assert sum(additive.values()) < sum(best.values())
    assert monotone == pytest.approx(best, rel=1e-3)  # the order alone counts
    assert all(additive[name] > best[name] for name in best if name != "synergy")
    assert abs(additive["synergy"]) < 0.05 * best["synergy"]
    assert all(abs(ignorant[name]) < 0.05 * best[name] for name in best)
    for name in best:
        alone = ranking_gains(truth, lambda users, n=name: truth.atom_utility(users, n), nothing)
        assert alone[name] == max(gains[name] for gains in (alone, best, additive, ignorant))
        assert sum(alone.values()) < sum(best.values())


def test_constant_scores_gain_nothing():
    truth = truth_of()
    found = ranking_gains(truth, lambda users: torch.ones(len(users), 40), no_clicks(truth))
    assert found == dict.fromkeys(found, 0.0)


@pytest.fixture(scope="module")
def classified():
    return truth_of(task="classification", classes=3, alphabet=3, items=500)


def test_class_gains_split_the_accuracy_above_chance(classified):
    draw = torch.Generator().manual_seed(0)
    items = torch.randperm(500, generator=draw)[:200]
    right = classified.class_of[tuple(classified.observed[items].T)]
    guessed = torch.randint(0, 3, (200,), generator=draw)
    for share in (0.0, 0.4, 1.0):
        known = torch.rand(200, generator=draw) < share
        predicted = torch.where(known, right, guessed)
        of_class = torch.bincount(classified.class_of.flatten()) / classified.class_of.numel()
        chance = of_class[predicted].mean().item()
        accuracy = (predicted == right).double().mean().item()
        found = class_gains(classified, items, predicted)
        assert sum(found.values()) == pytest.approx(accuracy - chance, abs=1e-6)


def test_class_gain_is_the_shapley_value_of_what_is_known_of_the_labels(classified):
    """v(S) = mean over items of P(c_i | labels of S), other labels uniform; by permutations."""
    truth, items = classified, torch.arange(60)
    predicted = torch.randint(0, 3, (60,), generator=torch.Generator().manual_seed(2))
    n = len(truth.atoms)

    def value(known):
        total = 0.0
        for i, c in zip(items.tolist(), predicted.tolist(), strict=True):
            at = tuple(int(truth.observed[i, a]) if a in known else slice(None) for a in range(n))
            total += float((truth.class_of[at] == c).double().mean())
        return total / len(items)

    values = {
        s: value(set(s)) for size in range(n + 1) for s in itertools.combinations(range(n), size)
    }
    want = np.zeros(n)
    orders = list(itertools.permutations(range(n)))
    for order in orders:
        for place, atom in enumerate(order):
            before = tuple(sorted(order[:place]))
            after = tuple(sorted(order[: place + 1]))
            want[atom] += (values[after] - values[before]) / len(orders)
    assert list(class_gains(truth, items, predicted).values()) == pytest.approx(want, abs=1e-9)


def test_a_prediction_that_cannot_see_an_atom_gains_nothing_of_it():
    truth = truth_of(task="classification", classes=2, items=40_000)
    seen = truth.class_of.double().mean(-1)  # the last axis is the synergy
    predicted = (seen > 0.5).long()[tuple(truth.observed[:, :-1].T)]
    found = class_gains(truth, torch.arange(40_000), predicted)
    assert truth.atoms[-1].name == "synergy"
    assert abs(found.pop("synergy")) < 0.01
    assert min(found.values()) > 0.02


def test_class_gains_need_classes():
    truth = truth_of()
    with pytest.raises(FusionlabError, match="task: classification"):
        class_gains(truth, torch.arange(3), torch.zeros(3).long())
