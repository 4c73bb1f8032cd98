"""What one writes wrong in another part of one's own: one error each, as in a fusion."""

from functools import partial

import polars as pl
import pytest
import torch

from fusionlab.data.dataset import Dataset, Labelled, Labels
from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Media, Medium
from fusionlab.encoders.contract import ENCODERS, BadMedia, Encoder
from fusionlab.encoders.encode import encode
from fusionlab.encoders.more import encode_more, encoder_of
from fusionlab.encoders.store import FeatureStore
from fusionlab.encoders.work import Machine
from fusionlab.errors import FusionlabError
from fusionlab.part_class import check_class
from fusionlab.registry import FAMILIES, family
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Encoding

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


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (torch.ones(3, 1, 2), "found a tensor (3, 1, 2) of float32, expected features and mask"),
        ((torch.ones(3, 2), torch.ones(3, 1).bool()), "features: a tensor (3, 2)"),
        ((torch.ones(3, 1, 5), torch.ones(3, 1).bool()), "T' tokens, d), here (3, 1, 2)"),
        ((torch.ones(3, 1, 2), torch.ones(3, 1)), "a mask: a tensor (3, 1) of float32"),
        ((torch.ones(3, 9, 2), torch.ones(3, 9).bool()), "a mask: a tensor (3, 9) of bool"),
        ((torch.ones(3, 1, 2), torch.tensor(True)), "a mask: a tensor () of bool"),
    ],
)
def test_what_an_encoder_returns_is_held_against_its_shapes(returned, told):
    class Mine(Encoder):
        medium = Medium.TEXT
        spec = FeatureSpec(2, 4)

        def collate(self, samples):
            return {}

        def forward(self, batch):
            return returned

    with pytest.raises(FusionlabError) as error:
        Mine()({"counts": torch.ones(3, 7)})
    assert "Mine.forward: " in str(error.value)
    assert told in str(error.value)


class Whole(Encoder):
    """One that keeps its contract: how long a text is."""

    name = "mine"
    medium = Medium.TEXT

    def __init__(self):
        super().__init__()
        self.spec = FeatureSpec(1)
        self.prepare = lambda text: {"length": torch.tensor([float(len(text))])}

    def collate(self, samples):
        return {"length": torch.stack([one["length"] for one in samples])}

    def forward(self, batch):
        return batch["length"][:, None], torch.ones(len(batch["length"]), 1, dtype=torch.bool)


def of_an_unknown_fault(text):
    raise BadMedia("corrupt", "it is so")


UNFITTED = {"fitted": True, "fit": lambda self, samples: None}


@pytest.mark.parametrize(
    ("stated", "kept", "told"),
    [
        ({}, {"spec": None}, r"Mine.spec: found None, expected a FeatureSpec"),
        ({}, {"spec": 4}, r"Mine.spec: found a value of type int, expected a FeatureSpec"),
        (UNFITTED, {"spec": None}, r"Mine.spec: found None after `fit`, expected a FeatureSpec"),
        ({}, {"prepare": None}, r"Mine.prepare: found None, expected what turns one item"),
        ({}, {"prepare": 4}, r"Mine.prepare: found a value of type int, expected what turns"),
        ({}, {"prepare": len}, r"len: found a value of type int, expected a dict of tensors"),
        ({}, {"prepare": partial(len)}, r"partial.__call__: found a value of type int, expected"),
        (
            {},
            {"prepare": of_an_unknown_fault},
            r"test_plugin_mistakes.py: of_an_unknown_fault: found BadMedia with the fault "
            r"'corrupt', expected Fault.MISSING or Fault.CORRUPT",
        ),
        ({"collate": lambda self, samples: None}, {}, r"Mine.collate: found None, expected a dict"),
    ],
)
def test_what_an_encoder_leaves_open_is_told_before_it_is_used(
    stated, kept, told, tmp_path, monkeypatch
):
    def begun(self):
        super(mine, self).__init__()
        for name, value in kept.items():
            delattr(self, name)
            if value is not None:
                setattr(self, name, value)

    mine = type("Mine", (Whole,), {"__init__": begun, "__module__": __name__, **stated})
    monkeypatch.setitem(ENCODERS._parts, "mine", mine)
    monkeypatch.setattr(ENCODERS, "_schemas", {})
    part = Labelled(torch.arange(2), torch.zeros(2, dtype=torch.long))
    texts = Dataset(
        name="texts",
        item_ids=pl.Series(["a", "b"]),
        features=None,
        interactions=None,
        labels=Labels(["all"], part, part, Sealed("labels", part)),
        fingerprint="texts",
        media={"title": Media(Medium.TEXT, ["mug", "cup"])},
    )
    encoding = validate(Encoding, {"of": "title", "encoder": "mine"})
    for encode_texts in (
        lambda: encode(texts, {"text": encoding}, FeatureStore(tmp_path), Machine(workers=0)),
        lambda: encode_more(encoder_of("text", encoding, texts), encoding, {"a": "mug"}),
    ):
        with pytest.raises(FusionlabError, match=told):
            encode_texts()


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


@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_of_the_package_is_as_one_from_outside_must_be(name):
    registry = family(name)
    assert registry.names()
    for one in registry.names():
        check_class(registry[one], registry.base)
