"""Names of modalities, and rows taken from features."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.data.features import FeatureSpec, ItemFeatures, Taker, is_modality_name, multiplied
from fusionlab.fusion.contract import FUSIONS, specimen


@pytest.mark.parametrize("name", ["items", "values", "training", "type", "a.b", "", "fused"])
def test_names_that_torch_uses_itself_are_no_modalities(name):
    assert not is_modality_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "touch",
        "text",
        "a->b",
        "lidar 2",
        "tokens",
        "out",
        "specs",
        "linear",
        "pooled",
        "add_module2",
    ],
)
def test_other_names_are_modalities(name):
    assert is_modality_name(name)
    for part in map(specimen, FUSIONS.names()):
        part.build({name: FeatureSpec(3), "text2": FeatureSpec(4)}, 8)


@given(st.lists(st.lists(st.integers(0, 9), max_size=14), min_size=1, max_size=6))
def test_rows_taken_into_used_memory_are_the_rows(steps):
    draw = torch.Generator().manual_seed(0)
    values = {"a": torch.randn(10, 1, 3, generator=draw), "b": torch.randn(10, 2, 4).bfloat16()}
    values["c"] = torch.randn(10, 1, 3, generator=draw).bfloat16()
    features = ItemFeatures(values, {n: torch.rand(x.shape[:2]) > 0.5 for n, x in values.items()})
    take = Taker(features)
    for step in steps:
        items = torch.tensor(step, dtype=torch.int64)
        found, want = take(items), features.take(items)
        for name in values:
            dtype = multiplied(values[name]) if name == "c" else values[name].dtype
            assert torch.equal(found.values[name], want.values[name].to(dtype))
            assert torch.equal(found.mask[name], want.mask[name])


@pytest.mark.parametrize("able", [True, False])
def test_types_are_multiplied_as_they_are_where_the_cpu_can(monkeypatch, able):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: able)
    narrow = torch.zeros(2, dtype=torch.bfloat16)
    assert multiplied(narrow) is (torch.bfloat16 if able else torch.float32)
    assert multiplied(torch.zeros(2)) is torch.float32
    assert multiplied(torch.zeros(2).double()) is torch.float64
    assert multiplied(narrow.to("meta")) is torch.bfloat16


def test_more_rows_than_are_widened_at_a_time(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    values = {"a": torch.randn(300, 1, 5).bfloat16()}
    features = ItemFeatures(values, {"a": torch.ones(300, 1).bool()})
    items = torch.randint(300, (200,))
    assert torch.equal(Taker(features)(items).values["a"], values["a"][items].float())
