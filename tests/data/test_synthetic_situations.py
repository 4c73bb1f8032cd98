"""A catalogue with situations: what counts in which, and clicks that follow it."""

import numpy as np
import pytest
import torch

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.synthetic.generate import draw_clicks
from fusionlab.errors import FusionlabError

SMALL = {"users": 30, "items": 60, "clicks": 20, "situations": 3}


def test_in_a_situation_the_atom_of_one_modality_alone_counts():
    truth = Synthetic(**SMALL).load().truth
    users = torch.arange(30)
    always = truth.atom_utility(users, "redundant") + truth.atom_utility(users, "synergy")
    parts = truth.utility(users) - always - truth.tau * truth.popularity
    total = torch.zeros_like(parts)
    for situation, modality in enumerate(truth.modalities):
        asked = torch.full((30,), situation)
        own = truth.utility(users, asked) - always - truth.tau * truth.popularity
        seen = truth.coalition_utility(users, [modality], asked)
        rest = truth.coalition_utility(users, [modality], (asked + 1) % 3)
        torch.testing.assert_close(own, 3 * truth.atom_utility(users, f"unique_{modality}"))
        torch.testing.assert_close(seen - rest, own)
        total += own / 3
    torch.testing.assert_close(parts, total)


def test_situations_are_told_with_clicks_and_move_them():
    data = Synthetic(users=400, items=200, clicks=30, situations=3).load()
    clicks, truth = data.interactions.train, data.truth
    own = [
        truth.atom_utility(clicks.users, f"unique_{m}")[torch.arange(len(clicks)), clicks.items]
        for m in truth.modalities
    ]
    codes = clicks.context[:, 0]
    by_situation = torch.stack([torch.stack([x[codes == s].mean() for x in own]) for s in range(3)])
    for s in range(3):
        others = by_situation[:, s][torch.arange(3) != s]
        assert by_situation[s, s] > 3 * others.abs().max()
    counts = torch.bincount(codes, minlength=3)
    assert counts.max() - counts.min() <= 0.02 * len(clicks)


def test_clicks_in_situations_are_distinct_and_do_not_depend_on_the_block(monkeypatch):
    truth = Synthetic(**SMALL).load().truth
    whole = draw_clicks(truth, 20, seed=0)
    pairs = {*zip(whole[0].tolist(), whole[1].tolist(), strict=True)}
    assert len(pairs) == 30 * 20
    per_user = [np.bincount(row, minlength=3) for row in whole[2].reshape(30, 20)]
    assert all(sorted(row) == [6, 7, 7] for row in per_user)
    monkeypatch.setattr("fusionlab.data.synthetic.generate.BLOCK", 60 * 7)
    again = draw_clicks(truth, 20, seed=0)
    assert all(map(np.array_equal, whole, again))


def test_situations_need_clicks():
    with pytest.raises(FusionlabError, match="situations: found 21, expected at most 20"):
        Synthetic(users=30, items=60, clicks=20, situations=21)
    with pytest.raises(FusionlabError, match="situations: found 2, expected at most 1"):
        Synthetic(task="classification", situations=2)
