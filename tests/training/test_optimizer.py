import subprocess
import sys
from copy import deepcopy

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from fusionlab.training.optimizer import EagerAdamW

STEP = """
import sys
import torch
import fusionlab.studies.run
from fusionlab.sections import Runtime
from fusionlab.training.optimizer import EagerAdamW

fusionlab.studies.run.configure(Runtime(), 0)
weight = torch.nn.Parameter(torch.ones(3))
optimizer = EagerAdamW([weight], fused=True)
optimizer.zero_grad()
weight.square().sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
slow = "torch._dynamo", "torch._inductor", "sympy", "scipy.stats", "sklearn", "matplotlib"
print(*(name for name in slow if name in sys.modules))
assert torch.are_deterministic_algorithms_enabled()
"""


def train(kind, steps, state=None):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5, 3))
    optimizer = kind([weight], lr=0.1, weight_decay=0.01, fused=True)
    if state is not None:
        optimizer.load_state_dict(state)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        weight.sin().square().sum().backward()
        optimizer.step()
    return weight, optimizer.state_dict()


def test_takes_the_steps_of_adamw() -> None:
    (ours, state), (theirs, other) = (train(kind, 7) for kind in (EagerAdamW, torch.optim.AdamW))
    assert torch.equal(ours, theirs)
    assert state["param_groups"] == other["param_groups"]
    assert torch.equal(state["state"][0]["exp_avg_sq"], other["state"][0]["exp_avg_sq"])
    resumed = [train(kind, 2, deepcopy(state))[0] for kind in (EagerAdamW, torch.optim.AdamW)]
    assert torch.equal(*resumed)


def test_hooks_on_steps_still_run() -> None:
    seen = []
    hook = register_optimizer_step_post_hook(lambda *_: seen.append(1))
    train(EagerAdamW, 2)
    hook.remove()
    assert len(seen) == 2


def test_the_way_to_a_step_imports_neither_compiler_nor_statistics() -> None:
    done = subprocess.run([sys.executable, "-c", STEP], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
