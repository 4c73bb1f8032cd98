"""Means over tokens and over modalities keep their digits in half precision."""

import pytest
import torch

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.layers import Projections, mean_present, pool_tokens, project


def tokens(count, dtype, scale=1.0):
    draw = torch.Generator().manual_seed(0)
    values = scale * (1 + torch.randn(6, count, 5, generator=draw))
    mask = torch.rand(6, count, generator=draw) > 0.3
    mask[0] = False
    mask[1] = True
    return values.to(dtype), mask


def exact_mean(values, mask):
    on = mask.double()[..., None]
    return (values.double() * on).sum(1) / on.sum(1).clamp(min=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_a_mean_is_exact_to_two_roundings(dtype, count):
    values, mask = tokens(count, dtype)
    pooled, exact = pool_tokens(values, mask), exact_mean(values, mask)
    assert pooled.dtype == dtype
    # In float32 each of the additions rounds, halves are added up in float32: the rest is nothing.
    roundings = count if dtype is torch.float32 else 1
    size = exact_mean(values.abs(), mask)
    assert ((pooled.double() - exact).abs() <= roundings * torch.finfo(dtype).eps * size).all()


def test_a_sum_that_exceeds_float16_still_has_a_mean():
    values, mask = tokens(300, torch.float16, scale=5000.0)
    pooled = pool_tokens(values, mask)
    assert values.float().sum(1).abs().max() > torch.finfo(torch.float16).max
    assert pooled.isfinite().all()
    assert torch.equal(mean_present(values.unbind(1), mask), pooled)


def test_float32_means_are_plain_ones_to_the_bit():
    values, mask = tokens(7, torch.float32)
    zeroed = torch.where(mask[..., None], values, 0)
    assert torch.equal(pool_tokens(values, mask), zeroed.sum(1) / mask.sum(1).clamp(min=1)[:, None])


@pytest.mark.parametrize("autocast", [False, True])
def test_what_was_never_there_has_the_type_of_what_is_masked(autocast):
    values, mask = tokens(2, torch.float32)
    project = Projections({"a": FeatureSpec(5, 2), "b": FeatureSpec(5, 2)}, 4)
    whole = ItemFeatures({"a": values, "b": values}, {"a": mask, "b": torch.zeros_like(mask)})
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        masked, _ = project.pooled(whole)
        never, _ = project.pooled(whole.without_columns(["b"]))
    assert masked.dtype == never.dtype == (torch.bfloat16 if autocast else torch.float32)
    assert torch.equal(masked, never)


@pytest.mark.parametrize("able", [True, False])
def test_features_in_half_precision_are_multiplied_as_the_cpu_can(monkeypatch, able):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: able)
    linear, x = torch.nn.Linear(8, 4), torch.randn(6, 8).bfloat16()
    found, exact = project(linear, x), linear(x.float())
    assert found.dtype is torch.float32
    assert torch.equal(found, exact) is not able
    torch.testing.assert_close(found, exact, rtol=0.02, atol=0.02)
