"""Modalities may be called anything, in every strategy and option that keeps parts of them."""

import io

import pytest
import torch
from torch import nn

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.build import build_fusion
from fusionlab.fusion.contract import FUSIONS, Fusion, Level, one_view, specimen
from fusionlab.fusion.layers import Projections

PLAIN = ("text", "image", "audio", "touch")
ODD = [
    ("type", "keys", "a.b", "touch"),
    ("training", "_keys", "a", "a%2Eb"),
    ("out", "specs", "items", "values"),
]
PARTS = [
    *map(specimen, FUSIONS.names()),
    {"name": "concat", "hidden": 4},
    {"name": "film", "modulated": "text"},
    {"name": "gated", "reads": "inputs"},
    {"name": "attention_pooling", "scores": "additive"},
    {"name": "cross_attention", "merge": "concat", "tokens": "sequence"},
    {"name": "bottleneck", "pool": "class_token"},
]
READ = [specimen("llm_prefix")]
"""To a language model the name of a modality is text, which its soft tokens start from."""
SPECS = [FeatureSpec(3), FeatureSpec(4, 2), FeatureSpec(2), FeatureSpec(5, 3)]


def called(part):
    return part["name"] if isinstance(part, dict) else part.name


def items_called(names):
    draw = torch.Generator().manual_seed(0)
    values = {
        name: torch.randn(12, spec.tokens, spec.dim, generator=draw)
        for name, spec in zip(names, SPECS, strict=True)
    }
    mask = {name: torch.rand(x.shape[:2], generator=draw) > 0.2 for name, x in values.items()}
    return ItemFeatures(values, mask)


def build(part, names):
    """Also with what names a modality among its options named anew."""
    torch.manual_seed(0)
    if isinstance(part, dict):  # of options that name a modality
        new = dict(zip(PLAIN, names, strict=True))
        part = FUSIONS.parse({key: new.get(value, value) for key, value in part.items()})
    fusion = build_fusion(part, items_called(names).specs, 8)
    fusion.fit(items_called(names))
    return fusion.eval()


@pytest.mark.parametrize("names", ODD, ids=str)
@pytest.mark.parametrize("part", [part for part in PARTS if part not in READ], ids=called)
@torch.no_grad()
def test_names_change_nothing(part, names):
    odd, plain = build(part, names), build(part, PLAIN)
    found, wanted = odd(items_called(names)), plain(items_called(PLAIN))
    assert torch.equal(found.views, wanted.views)
    assert torch.equal(found.present, wanted.present)
    scores = found.views.sum(-1)[None]
    query, present = torch.ones(1, *found.views.shape[1:]), found.present[None]
    assert torch.equal(odd.combine(scores, query, present), plain.combine(scores, query, present))
    for name, other in zip(names, PLAIN, strict=True):
        own = [p.tolist() for p in odd.modality_parameters(name)]
        assert own == [p.tolist() for p in plain.modality_parameters(other)]
        assert bool(own) == odd.trainable


@pytest.mark.parametrize("names", ODD, ids=str)
@pytest.mark.parametrize("part", PARTS, ids=called)
@torch.no_grad()
def test_the_state_comes_back(part, names):
    fusion, file = build(part, names), io.BytesIO()
    for parameter in fusion.parameters():
        parameter.normal_()
    torch.save(fusion.state_dict(), file)
    file.seek(0)
    other = build(part, names)
    other.load_state_dict(torch.load(file, weights_only=True))
    items = items_called(names)
    assert torch.equal(fusion(items).views, other(items).views)


class KeepsModules(Fusion):
    """What a researcher may write."""

    name = "mine"
    level = Level.FEATURE
    additive = True

    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)
        self.again = nn.ModuleDict({name: nn.Linear(dim, dim) for name in specs})

    def forward(self, items):
        parts, present = self.project.pooled(items)
        again = [part(x) for part, x in zip(self.again.values(), parts.unbind(1), strict=True)]
        return one_view(sum(again), present)


class KeepsParameters(KeepsModules):
    def __init__(self, specs, dim):
        Fusion.__init__(self, specs, dim)
        self.scale = nn.ParameterDict({name: nn.Parameter(torch.ones(dim)) for name in specs})


class HasItsOwnFault(KeepsModules):
    def __init__(self, specs, dim):
        raise KeyError("mine")


class Mine:
    name = "mine"

    def __init__(self, cls):
        self.build = cls


@pytest.mark.parametrize("cls", [KeepsModules, KeepsParameters])
@pytest.mark.parametrize("name", ["type", "keys", "a.b", "training"])
def test_dictionaries_of_torch_are_refused_names_they_do_not_take(cls, name):
    specs = {"text": FeatureSpec(3), name: FeatureSpec(4)}
    with pytest.raises(
        FusionlabError, match=rf"^fusion 'mine': found a modality named '{name}', .*ByName"
    ):
        build_fusion(Mine(cls), specs, 8)


@pytest.mark.parametrize("cls", [KeepsModules, KeepsParameters])
def test_dictionaries_of_torch_may_keep_modalities_of_ordinary_names(cls):
    fusion = build_fusion(Mine(cls), {"text": FeatureSpec(3), "touch": FeatureSpec(4)}, 8)
    own = {id(p) for p in fusion.modality_parameters("touch")}
    kept = fusion.again["touch"].weight if cls is KeepsModules else fusion.scale["touch"]
    assert id(kept) in own


def test_any_other_fault_of_a_strategy_is_its_own():
    with pytest.raises(KeyError, match="mine"):
        build_fusion(Mine(HasItsOwnFault), {"text": FeatureSpec(3)}, 8)
