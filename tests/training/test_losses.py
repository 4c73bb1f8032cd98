"""Ranking losses against their formulas."""

import math

import pytest
import torch

from fusionlab.training.losses import LOSSES

SCORES = torch.tensor([[1.0, -0.5, 2.0], [0.0, 0.0, 0.0], [30.0, -30.0, -30.0]])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def bpr(row):
    return -sum(math.log(sigmoid(row[0] - other)) for other in row[1:]) / (len(row) - 1)


def bce(row):
    others = sum(math.log(1 - sigmoid(other) + 1e-300) for other in row[1:])
    return -(math.log(sigmoid(row[0])) + others) / len(row)


def softmax(row):
    return -math.log(math.exp(row[0]) / sum(math.exp(x) for x in row))


@pytest.mark.parametrize("formula", [bpr, bce, softmax], ids=lambda f: f.__name__)
def test_loss_equals_formula(formula):
    loss = LOSSES.parse(formula.__name__).build()
    expected = torch.tensor([formula(row) for row in SCORES.tolist()])
    assert torch.allclose(loss(SCORES), expected, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES.names())
def test_loss_falls_as_the_clicked_item_rises(name):
    loss = LOSSES.parse(name).build()
    better = SCORES.clone()
    better[:, 0] += 1
    assert (loss(better) <= loss(SCORES)).all()
    assert (loss.confidence(better) >= loss.confidence(SCORES)).all()
    assert ((loss.confidence(SCORES) >= 0) & (loss.confidence(SCORES) <= 1)).all()


@pytest.mark.parametrize("name", LOSSES.names())
def test_extreme_scores_stay_finite(name):
    scores = torch.tensor([[-1e4, 1e4]], requires_grad=True)
    value = LOSSES.parse(name).build()(scores)
    value.sum().backward()
    assert value.isfinite().all()
    assert scores.grad.isfinite().all()
