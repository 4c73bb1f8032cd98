import os
from pathlib import Path

import torch

from fusionlab.data import room as module
from fusionlab.data.features import ItemFeatures
from fusionlab.data.room import joined
from fusionlab.data.scaling import rescale


def test_a_large_array_is_held_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "large_bytes", lambda: 500)
    x = torch.randn(90, 5, generator=torch.Generator().manual_seed(0))
    small, large = (
        joined(rows.split(7), rows.shape, torch.bfloat16, tmp_path) for rows in (x[:9], x)
    )
    assert torch.equal(large, x.bfloat16())
    assert torch.equal(small, large[:9])
    assert not list(tmp_path.iterdir())
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = [line for line in maps.read_text().splitlines() if str(tmp_path) in line]
        places = [int(line.split("-")[0], 16) for line in lines]
        assert places == [large.data_ptr()]
        assert small.data_ptr() not in places


def test_what_is_large_depends_on_the_memory(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    for size, least in ((1 << 40, 1 << 35), (None, 1 << 28)):
        monkeypatch.setattr(module, "memory_size", lambda size=size: size)
        assert module.large_bytes() == least


def test_scaled_features_are_the_same_on_disk(tmp_path, monkeypatch):
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(300, 2, 4, generator=draw)
    features = ItemFeatures({"a": x}, {"a": torch.ones(300, 2, dtype=torch.bool)})
    train = torch.arange(100)
    in_memory = rescale(features, train, "modality").values["a"]
    monkeypatch.setattr(module, "large_bytes", lambda: 1000)
    on_disk = rescale(features, train, "modality", tmp_path).values["a"]
    assert torch.equal(in_memory, on_disk)
    assert os.listdir(tmp_path) == []
