"""AdamW as PyTorch has it, minus what only `torch.compile` needs; and who learns how fast."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer


class EagerAdamW(AdamW):
    """The same steps, bit for bit, without importing the compiler.

    PyTorch wraps these methods so that its compiler leaves them alone, and to do so it imports the
    compiler when the first of them is called: seconds of a start, for runs that compile nothing.
    """

    add_param_group = inspect.unwrap(Optimizer.add_param_group)
    zero_grad = inspect.unwrap(Optimizer.zero_grad)
    state_dict = inspect.unwrap(Optimizer.state_dict)
    load_state_dict = inspect.unwrap(Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(AdamW.step))


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """What there is to learn: first all that has the common learning rate, then what has its own.

    A module anywhere in the model may have a method ``own_rates`` that yields parameters and their
    learning rate.
    """
    groups: list[dict[str, Any]] = []
    for module in model.modules():
        for parameters, rate in getattr(module, "own_rates", tuple)():
            groups.append({"params": [p for p in parameters if p.requires_grad], "lr": rate})
    elsewhere = {id(p) for group in groups for p in group["params"]}
    common = [p for p in model.parameters() if p.requires_grad and id(p) not in elsewhere]
    return [{"params": common}, *groups]
