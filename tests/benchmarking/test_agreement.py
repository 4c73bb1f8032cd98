"""What is compared with loops by hand has to compute the same: the checks before a timing fail."""

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fusionlab.data.dataset import DATASETS
from fusionlab.errors import FusionlabError
from fusionlab.training.sampling import NegativeSampler

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    """Modules of the benchmarks; the dataset that one of them registers is forgotten afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    DATASETS.names()
    monkeypatch.setattr(DATASETS, "_parts", dict(DATASETS._parts))
    names = ("agreement", "by_hand", "framework", "shapes")
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def test_negatives_are_no_clicks_and_even(scripts):
    clicks, check = scripts.shapes.clicks(), scripts.agreement.check_agreement
    sampler, generator = NegativeSampler(clicks), torch.Generator().manual_seed(0)
    theirs = scripts.by_hand.rejection(torch.Generator().manual_seed(1))

    def draw():
        return sampler.draw(clicks.users, 1, generator)

    check("sampling", draw, theirs)
    for wrong in (clicks.items, torch.full_like(clicks.items, clicks.n_items)):
        with pytest.raises(FusionlabError, match="one item a click that is none"):
            check("sampling", lambda wrong=wrong: wrong, theirs)
    sampler.unclicked.zero_()  # so the first item that is no click is drawn, always
    with pytest.raises(FusionlabError, match="how often items are drawn"):
        check("sampling", draw, theirs)


@pytest.mark.parametrize("found", [{"recall@5": 0.2501}, {"ndcg@5": 0.25}, {"recall@5": torch.nan}])
def test_figures_are_the_same(scripts, found):
    check, by_hand = scripts.agreement.check_agreement, {"recall@5": 0.25}
    check("metrics", lambda: dict(by_hand), lambda: by_hand)
    with pytest.raises(FusionlabError, match="by hand"):
        check("metrics", lambda: found, lambda: by_hand)


def test_gradients_are_the_same(scripts, monkeypatch):
    check, by_hand = scripts.agreement.check_agreement, scripts.by_hand
    check("bpr", scripts.framework.epoch("bpr_mf"), by_hand.bpr())
    monkeypatch.setattr(by_hand, "L2", 2 * by_hand.L2)
    with pytest.raises(FusionlabError, match="the gradient of"):
        check("bpr", scripts.framework.epoch("bpr_mf"), by_hand.bpr())
