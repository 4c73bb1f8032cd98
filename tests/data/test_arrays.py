import numpy as np
import pytest
import torch

from fusionlab.data import arrays, fingerprint
from fusionlab.data.arrays import read_features
from fusionlab.data.features import ItemFeatures
from fusionlab.errors import FusionlabError


@pytest.mark.parametrize("row", [0, 2, 3, 10])
@pytest.mark.parametrize("block_bytes", [1, 48, 1 << 24])
def test_a_broken_row_is_named_wherever_the_blocks_end(home, monkeypatch, row, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    values = np.ones((11, 2, 2), dtype=np.float32)
    values[row, 1, 0] = -np.inf
    np.save("x.npy", values)
    with pytest.raises(FusionlabError, match=rf"^x\.npy, row {row} .*: found -inf, expected"):
        read_features(home.joinpath("x.npy").relative_to(home), cure="")


@pytest.mark.parametrize("block_bytes", [1, 48, 1 << 24])
def test_zero_rows_are_found_wherever_the_blocks_end(home, monkeypatch, block_bytes):
    monkeypatch.setattr(arrays, "BLOCK_BYTES", block_bytes)
    values = np.ones((11, 3), dtype=np.float32)
    values[[0, 5, 10]] = 0
    values[7] = [0, -0.0, 1e-30]
    np.save("x.npy", values)
    rows = read_features(home / "x.npy", cure="", zero_rows_are_missing=True)
    assert (~rows.mask[:, 0]).nonzero().flatten().tolist() == [0, 5, 10]


def test_an_empty_array_is_refused_by_its_shape(home):
    np.save("x.npy", np.ones((0, 3), dtype=np.float32))
    with pytest.raises(FusionlabError, match=r"found shape \(0, 3\), expected"):
        read_features(home / "x.npy", cure="")


def test_another_byte_order_is_refused(home):
    np.save("x.npy", np.ones((2, 3), dtype=">f4"))
    with pytest.raises(FusionlabError, match="found type >f4, expected float16"):
        read_features(home / "x.npy", cure="")


def test_the_fingerprint_of_features_reads_no_more_than_a_block_at_a_time(monkeypatch):
    monkeypatch.setattr(fingerprint, "CHUNK_BYTES", 100)
    sizes = []
    add = fingerprint._add_tensor
    monkeypatch.setattr(
        fingerprint, "_add_tensor", lambda d, t: (sizes.append(t.nbytes), add(d, t))[1]
    )
    values = torch.rand(50, 1, 6)
    features = ItemFeatures({"x": values}, {"x": torch.ones(50, 1, dtype=torch.bool)})
    fingerprint.fingerprint([features])
    assert max(sizes) <= 100
    assert sum(sizes) == values.nbytes + 50
