"""AdamW as PyTorch has it, minus what only `torch.compile` needs."""

from __future__ import annotations

import inspect

import torch
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
