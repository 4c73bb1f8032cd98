"""What one writes wrong in another part of one's own: one error each, as in a fusion."""

import pytest

# (what stands in the class, place, what was found, what is expected)
BALANCER = '''
import torch
from fusionlab.balancing.contract import BALANCERS, Balancer


@BALANCERS.register("mine")
class Mine(Balancer):
    """Mine."""

'''
OF_BALANCERS = {
    "no loss": ("def loss(self, step): step.joint", "Mine.loss", "a loss: None", "a scalar"),
    "a loss that is a number": (
        "def loss(self, step): return step.joint.item()",
        "Mine.loss",
        "a loss: a value of type float",
        "expected a tensor",
    ),
    "coalitions that are names": (
        "coalitions = property(lambda self: self.modalities)",
        "Mine.coalitions",
        "found 'text'",
        "expected frozensets of text, image, audio",
    ),
    "a coalition that was not asked for": (
        "def loss(self, step): return step.loss(self.alone[0])",
        "Step",
        "found nothing that the coalition text says",
        "`coalitions`",
    ),
    "a loss without a gradient": (
        "def loss(self, step): return step.joint.detach()",
        "Mine.loss",
        "found a loss without a gradient",
        "with nothing detached",
    ),
    "no numbers by kind": (
        "def told(self): return 3",
        "Mine.told",
        "found a value of type int",
        "a dict",
    ),
    "numbers that are no tensors": (
        "def told(self): return {'weight': 3.0}",
        "Mine.told",
        "found a dict of a value of type float",
        "a dict of tensors by name",
    ),
    "numbers of nobody": (
        "def told(self): return {'weight': torch.ones(7)}",
        "Mine.told",
        "'weight': a tensor (7,)",
        "(M,) or (M + 1,)",
    ),
    "no modalities": (
        "def __init__(self): super().__init__(())",
        "Mine.__init__",
        "found the arguments (self)",
        "expected (self, modalities, *",
    ),
}
RECOMMENDER = '''
from fusionlab.recommenders.contract import RECOMMENDERS, Recommender


@RECOMMENDERS.register("mine")
class Mine(Recommender):
    """Mine."""

    uses_content = True

'''
OF_RECOMMENDERS = {
    "no users": ("pass", "Mine: ", "found neither user_views nor a ranker", "def user_views("),
    "users without views": (
        "def user_views(self, users, items, leave_out=None):\n"
        "        return items.views[:1, 0].expand(len(users), -1)",
        "Mine.user_views",
        "views: a tensor (80, 4)",
        "(B users, K, D), here (80, 1, 4)",
    ),
    "users who know what is left out": (
        "def user_views(self, users, items): return items.views",
        "Mine.user_views",
        "too many positional arguments",
        "expected def user_views(self, users, items, leave_out)",
    ),
    "no scores": (
        "uses_content = False",
        "Mine: ",
        "neither item views nor ID factors",
        "user_factors and item_factors",
    ),
    "no fusion": (
        "def __init__(self, context): super().__init__(context, None)",
        "Mine.__init__",
        "found the arguments (self, context)",
        "expected (self, context, fusion, *",
    ),
}
IMPUTER = '''
import torch
from fusionlab.fusion.imputers.contract import IMPUTERS, Imputer


@IMPUTERS.register("mine")
class Mine(Imputer):
    """Mine."""

'''
OF_IMPUTERS = {
    "no guess": ("pass", "Mine: ", "found neither guess nor a forward", "def guess("),
    "a guess without a mask": (
        "def guess(self, modality, items, rows): return torch.zeros(len(rows), 1, 32)",
        "Mine.guess",
        "found a tensor",
        "expected features and mask",
    ),
    "a guess without tokens": (
        "def guess(self, modality, items, rows):\n"
        "        return torch.zeros(1, 32), torch.ones(1, 1).bool()",
        "Mine.guess",
        "features: a tensor (1, 32)",
        "(n rows, T, d), here (1, 1, 32)",
    ),
    "a mask of numbers": (
        "def guess(self, modality, items, rows):\n"
        "        return torch.zeros(1, 1, 32), torch.ones(1, 1)",
        "Mine.guess",
        "a mask: a tensor (1, 1) of float32",
        "expected a tensor of bool",
    ),
}
LOSING = "inputs.imputer=mine inputs.missing.train=0.5"
CASES = [
    pytest.param(f"{head}    {body}\n", typed, told, id=f"{typed}: {mistake}")
    for head, typed, cases in (
        (BALANCER, "balancer=mine", OF_BALANCERS),
        (RECOMMENDER, "recommender=mine", OF_RECOMMENDERS),
        (IMPUTER, LOSING, OF_IMPUTERS),
    )
    for mistake, (body, *told) in cases.items()
]


@pytest.mark.parametrize(("source", "typed", "told"), CASES)
def test_a_mistake_is_told_with_place_finding_and_way_out(source, typed, told, run_with_plugin):
    result, said = run_with_plugin(source, typed)
    assert result.exit_code == 1, said
    assert isinstance(result.exception, SystemExit)
    assert said.count("Error: ") == 1
    for part in told:
        assert part in said


FUSION = '''
import torch
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level


@FUSIONS.register("mine")
class Mine(Fusion):
    """Mine."""

    level, additive = Level.FEATURE, False

    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.maps = torch.nn.ModuleList(torch.nn.Linear(s.dim, dim) for s in specs.values())

    def forward(self, items):
        each = [f(items.values[m].nan_to_num(0)) for f, m in zip(self.maps, self.specs)]
        views = torch.stack(each).sum(0).detach()
        return FusedItems(views, torch.ones(views.shape[:2]).bool())
'''


@pytest.mark.parametrize("balancer", ["none", "gradnorm", "mmpareto"])
def test_views_that_a_fusion_detaches_are_told(balancer, run_with_plugin):
    result, said = run_with_plugin(FUSION, f"fusion=mine recommender=content balancer={balancer}")
    assert result.exit_code == 1, said
    assert isinstance(result.exception, SystemExit), result.exception
    assert "mine.py: Mine: found a loss without a gradient, expected views and scores" in said
