"""Scores of blocks of users: right for any size, in memory that is used again."""

import pytest
import torch

import fusionlab.linear
from fusionlab.recommenders.catalogue_product import CatalogueProduct


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_equals_the_product_of_fresh_memory_for_blocks_of_any_size(dtype) -> None:
    queries, items = torch.randn(20, 6, dtype=dtype), torch.randn(11, 6, dtype=dtype)
    product, matrix = CatalogueProduct(items), items.T.contiguous()
    for size in (3, 20, 0, 7):
        assert torch.equal(product(queries[:size]), queries[:size] @ matrix)


def test_blocks_share_memory() -> None:
    product = CatalogueProduct(torch.randn(11, 6))
    first = product(torch.randn(5, 6))
    assert product(torch.randn(4, 6)).data_ptr() == first.data_ptr()


def test_what_is_written_into_scores_does_not_reach_the_next_block() -> None:
    queries, product = torch.randn(5, 6), CatalogueProduct(torch.randn(11, 6))
    expected = product(queries).clone()
    product(queries).fill_(torch.nan)
    assert torch.equal(product(queries), expected)


def test_parameters_give_scores_without_a_gradient() -> None:
    queries, items = (torch.nn.Parameter(torch.randn(n, 6)) for n in (5, 11))
    assert not CatalogueProduct(items)(queries).requires_grad


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")
def test_a_large_product_by_onednn_is_the_same_and_its_readers_too(monkeypatch) -> None:
    queries, items = torch.randn(320, 6), torch.randn(50, 6, requires_grad=True)
    expected = queries @ items.detach().T
    monkeypatch.setattr(fusionlab.linear, "LARGE", 1)
    monkeypatch.setattr(fusionlab.linear, "onednn_is_faster", lambda trained: True)
    product = CatalogueProduct(items)
    found = product(queries)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected)
    found.fill_(torch.nan)
    torch.testing.assert_close(product(queries), expected)


def test_what_is_too_large_for_fresh_memory_or_no_whole_blocks_stays_with_pytorch(
    monkeypatch,
) -> None:
    monkeypatch.setattr(fusionlab.linear, "LARGE", 1)
    monkeypatch.setattr(fusionlab.linear, "onednn_is_faster", lambda trained: True)
    product = CatalogueProduct(torch.randn(50, 6))
    first = product(torch.randn(65, 6)).data_ptr()
    monkeypatch.setattr("fusionlab.recommenders.catalogue_product.MOST", 64 * 50 - 1)
    assert product(torch.randn(64, 6)).data_ptr() == first
