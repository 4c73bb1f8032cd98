"""Do a call of the framework and one by hand compute the same?"""

from fnmatch import fnmatch
from unittest.mock import patch

import torch
from by_hand import Epoch
from shapes import CLICKS, ITEMS, clicks

from fusionlab.errors import FusionlabError

LOSSES = {"fp32": 1e-6, "bf16": 1e-4}
"""How far mean losses may differ, relative: both add up in other orders, bf16 with 8 bits."""

GRADIENTS = {"fp32": 1e-5, "bf16": 2e-2}
"""The same of a parameter's gradient, as norms."""

FIGURES = 1e-6

TRAINED = 0.05
"""How far NDCG of two trained models may differ, relative: they draw other steps."""

EPOCHS, MOST_UNEVEN = 4, 0.1
"""Epochs of negatives, and how far chi-square by its degrees of freedom, some 7,000, may be from 1:
six standard deviations."""


def check_agreement(name, ours, theirs):
    """Compare epochs from the same weights, figures, or negatives; other calls give nothing back.

    Raises:
        FusionlabError: they differ, or a negative is a click.
    """
    if isinstance(theirs, Epoch):
        _check_epochs(name, ours, theirs)
    elif name == "sampling":
        for call in (ours, theirs):
            _check_negatives(name, torch.stack([call().flatten() for _ in range(EPOCHS)]))
    elif name == "whole_run":
        found, by_hand = (call()["test.ndcg@20"] for call in (ours, theirs))
        _check(f"{name}: ndcg@20 of test", abs(found - by_hand) / by_hand, TRAINED)
    elif name in ("evaluation", "metrics"):
        _check_figures(name, ours(), theirs())


def _check_figures(name, found, by_hand):
    if found.keys() != by_hand.keys():
        raise FusionlabError(f"{name}: found {[*found]}, by hand {[*by_hand]}")
    for one, value in found.items():
        _check(f"{name}: {one}", abs(value - by_hand[one]), FIGURES)


def _check_negatives(name, drawn):
    """One item a click that is none; over some epochs each as often as chance has it."""
    keys = clicks().users * ITEMS
    is_click = torch.isin(keys + drawn, keys + clicks().by_item)
    if drawn.shape[1] != CLICKS or drawn.min() < 0 or drawn.max() >= ITEMS or is_click.any():
        raise FusionlabError(f"{name}: found other than one item a click that is none")
    free = 1 / (ITEMS - clicks().counts.double())  # the chance of an item that is no click
    per_click = EPOCHS * free[clicks().users]
    taken = torch.zeros(ITEMS, dtype=torch.float64)
    taken.index_add_(0, clicks().items, EPOCHS * (clicks().counts * free)[clicks().users])
    expected = per_click.sum() - taken
    found = drawn.flatten().bincount(minlength=ITEMS)
    off = float(((found - expected).square() / expected).sum() / ITEMS - 1)
    _check(f"{name}: how often items are drawn", abs(off), MOST_UNEVEN)


def _check_epochs(name, ours, theirs):
    """Gradients of the first step, and mean losses of an epoch of the framework's steps."""
    loop, precision = ours.__self__, "bf16" if theirs.bf16 else "fp32"
    model = loop.task.model
    _put(theirs, model.state_dict())
    steps = list(loop.task.batches(loop.generator))
    model.train()
    loop.micro_batches.backward(steps[0], loop._step, loop._clear)
    theirs.backward(steps[0].users, steps[0].candidates)
    slopes = {n: one.grad.float() for n, one in model.named_parameters() if one.grad is not None}
    for pattern, parameter in theirs.parameters.items():
        slope = _joined(slopes, pattern, parameter)
        _check(
            f"{name}: the gradient of {pattern}",
            float((slope - parameter.grad).norm() / slope.norm()),
            GRADIENTS[precision],
        )
    with patch.object(loop.task, "batches", lambda _: iter(steps)):
        found = ours()
    by_hand = theirs.train((one.users, one.candidates) for one in steps)
    _check(f"{name}: the mean loss", abs(found - by_hand) / by_hand, LOSSES[precision])


def _check(what, difference, most):
    if not difference <= most:
        raise FusionlabError(f"{what} differs from that by hand by {difference:.1e}, not {most:g}")


@torch.no_grad()
def _put(theirs, state):
    """Copy the framework's weights."""
    for pattern, parameter in theirs.parameters.items():
        parameter.copy_(_joined(state, pattern, parameter))


def _joined(named, pattern, parameter):
    """What one parameter by hand holds: several side by side, or users above items in the graph."""
    parts = [one for name, one in named.items() if fnmatch(name, pattern)]
    beside = sum(map(len, parts)) > len(parameter)
    return torch.cat(parts, int(beside)).view_as(parameter)
