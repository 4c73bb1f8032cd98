"""Every registered strategy holds every check of the contract, with one to four modalities and in
each type."""

from types import SimpleNamespace

import pytest
import torch

from fusionlab.data.features import FeatureSpec
from fusionlab.fusion import checks
from fusionlab.fusion.checks import CHECKS, Subject, hold
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, one_view, specimen
from fusionlab.fusion.layers import Projections

PARTS = [specimen(name) for name in FUSIONS.names()] + [
    FUSIONS.parse({"name": "gated", "gate": "sigmoid"}),
    FUSIONS.parse({"name": "concat", "hidden": 4}),
    FUSIONS.parse({"name": "gated", "reads": "inputs"}),
    FUSIONS.parse({"name": "gated", "reads": "inputs", "gate": "sigmoid"}),
    FUSIONS.parse({"name": "attention_pooling", "scores": "additive"}),
]

ORDERED = {"attention_pooling", "gated", "llm_prefix", "tensor"}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_contract(part, check):
    hold(check, part)


class Broken(Fusion):
    """A sum with one fault at a time, to see the checks fail."""

    level = Level.FEATURE
    additive = True

    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.project = Projections(specs, dim)

    def forward(self, items):
        parts, present = self.project.pooled(items)
        return one_view(parts.sum(1), present)


class ReadsBehindTheMask(Broken):
    def forward(self, items):
        x = sum(self.project[name](items.values[name].mean(1)) for name in items.values)
        present = torch.stack([items.present(name) for name in items.values], 1)
        return one_view(x, present)


class NormalisesTheBatch(Broken):
    def forward(self, items):
        parts, present = self.project.pooled(items)
        x = parts.sum(1)
        return one_view(x - x.mean(0), present)


class KeepsParametersInAList(Broken):
    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.scales = [torch.nn.Parameter(torch.randn(dim)) for _ in specs]

    def forward(self, items):
        parts, present = self.project.pooled(items)
        return one_view(
            sum(p * s for p, s in zip(parts.unbind(1), self.scales, strict=True)), present
        )


class HasADeadParameter(Broken):
    def __init__(self, specs, dim):
        super().__init__(specs, dim)
        self.unused = torch.nn.Parameter(torch.zeros(dim))


class NormalisesASum(Broken):
    def forward(self, items):
        parts, present = self.project.pooled(items)
        return one_view(torch.nn.functional.layer_norm(parts.sum(1), (self.dim,)), present)


class HidesThatItIsASum(Broken):
    additive = False


class KeepsTheBiasOfTheAbsent(Broken):
    def forward(self, items):
        parts, _ = self.project.pooled(items)
        return FusedItems((parts.sum(1) + 1)[:, None], torch.ones(len(parts), 1, dtype=torch.bool))


class AddsAFloat32Constant(Broken):
    def forward(self, items):
        parts, present = self.project.pooled(items)
        return one_view(parts.sum(1) + torch.ones(self.dim), present)


class MultipliesByAFloat32Constant(Broken):
    def forward(self, items):
        parts, present = self.project.pooled(items)
        return one_view(parts.sum(1) @ torch.eye(self.dim), present)


class WeighsTheAbsent(Broken):
    def modality_weights(self, items):
        return torch.full((len(items), len(self.specs)), 1 / len(self.specs))


class LosesDigits(Broken):
    def forward(self, items):
        parts, present = self.project.pooled(items)
        return one_view(parts.sum(1) + 256 - 256, present)


class FillsATensorInFloat32(Broken):
    def forward(self, items):
        parts, present = self.project.pooled(items)
        view = self.project["text"].weight.new_zeros(len(items), self.dim)
        on = present.any(1)
        view[on] = parts.sum(1)[on]
        return one_view(view, present)


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (ReadsBehindTheMask, "nothing_behind_the_mask"),
        (NormalisesTheBatch, "rows_are_independent"),
        (KeepsParametersInAList, "saves_and_loads"),
        (HasADeadParameter, "parameters_learn"),
        (WeighsTheAbsent, "modality_weights_are_shares"),
        (KeepsTheBiasOfTheAbsent, "shapes"),
        (NormalisesASum, "additive_is_true"),
        (HidesThatItIsASum, "additive_is_true"),
    ],
)
def test_checks_catch_the_faults_of_others(cls, check):
    class Part:
        @staticmethod
        def build(specs, dim):
            return cls(specs, dim)

    with pytest.raises(AssertionError):
        checks.CHECKS[check](Subject(Part(), 3))


def test_modality_parameters_belong_to_one_modality():
    for part in PARTS:
        fusion = part.build({"a": FeatureSpec(4), "b": FeatureSpec(5)}, 8)
        a, b = ({id(p) for p in fusion.modality_parameters(name)} for name in ("a", "b"))
        assert not a & b, part.name
        assert bool(a) == fusion.trainable, part.name


@pytest.mark.parametrize(
    ("cls", "check", "dtype"),
    [
        (AddsAFloat32Constant, "types_move", torch.bfloat16),
        (MultipliesByAFloat32Constant, "shapes", torch.bfloat16),
        (LosesDigits, "types_move", torch.bfloat16),
        (FillsATensorInFloat32, "types_mix", torch.float32),
        (FillsATensorInFloat32, "types_mix", torch.bfloat16),
    ],
)
def test_checks_catch_what_breaks_in_bfloat16(cls, check, dtype):
    part = SimpleNamespace(build=cls)
    with pytest.raises((AssertionError, RuntimeError)):
        checks.CHECKS[check](Subject(part, 3, dtype))
    checks.CHECKS["shapes"](Subject(part, 3))


def test_a_problem_names_the_type(monkeypatch):
    part = SimpleNamespace(build=MultipliesByAFloat32Constant)
    monkeypatch.setattr(checks, "specimen", lambda name: part)
    problems = {result.check: result.problem for result in checks.check_all(["mine"])}
    assert problems["shapes"].startswith("with 1 modalities in bfloat16: RuntimeError: ")
    assert problems["declares_itself"] == ""


def test_which_strategies_depend_on_the_order_of_the_modalities():
    """All others promise that it changes nothing, and are held to it."""
    ordered = {name for name in FUSIONS.names() if not FUSIONS[name].symmetric}
    assert ordered == ORDERED
