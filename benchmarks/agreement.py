"""Do an epoch of the framework and one by hand compute the same?"""

from fnmatch import fnmatch
from unittest.mock import patch

import torch
from by_hand import Epoch

from fusionlab.errors import FusionlabError

TOLERANCE = {"fp32": 1e-6, "bf16": 1e-4}
"""Of mean losses, relative: both add up in other orders, bf16 with 8 bits."""


def check_agreement(name, ours, theirs):
    """Train both for an epoch on the framework's steps, from the framework's weights.

    Raises:
        FusionlabError: their mean losses differ.
    """
    if not isinstance(theirs, Epoch):
        return
    loop = ours.__self__
    start(theirs, loop.task.model.state_dict())
    steps = list(loop.task.batches(loop.generator))
    with patch.object(loop.task, "batches", lambda _: iter(steps)):
        found = ours()
    by_hand = theirs.train((one.users, one.candidates) for one in steps)
    if not abs(found - by_hand) <= TOLERANCE["bf16" if theirs.bf16 else "fp32"] * by_hand:
        raise FusionlabError(f"{name}: found a mean loss of {found:.7f}, by hand {by_hand:.7f}")


@torch.no_grad()
def start(theirs, state):
    """Copy the framework's weights: side by side where one by hand stands for several, users above
    items in the graph."""
    for pattern, parameter in theirs.parameters.items():
        parts = [one for name, one in state.items() if fnmatch(name, pattern)]
        beside = sum(map(len, parts)) > len(parameter)
        parameter.copy_(torch.cat(parts, int(beside)).view_as(parameter))
