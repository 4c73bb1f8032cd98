"""Features that were damaged on disk are refused, and never copied into another column."""

import os
import random
import shutil

import numpy as np
import pytest
import torch
from letters import WORDS, catalogue, encoding

from fusionlab.encoders.blocks import BlockEncoder
from fusionlab.encoders.encode import Machine, encode
from fusionlab.encoders.store import FeatureStore
from fusionlab.errors import FusionlabError

FILES = ["values.npy", "mask.npy", "report.csv", "card.json"]


def encoded(root, texts=WORDS):
    columns = encode(catalogue(texts), {"text": encoding()}, FeatureStore(root), Machine(workers=0))
    return columns["text"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_and_encoded_again_on_advice(tmp_path, name):
    column, draw = encoded(tmp_path), random.Random(0)
    values = np.load(column.folder / "values.npy")
    file = column.folder / name
    whole, refusals = file.read_bytes(), []
    for _ in range(20):
        changed = bytearray(whole)
        changed[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        file.write_bytes(changed)
        try:
            again = encoded(tmp_path)
        except FusionlabError as error:
            refusals.append(str(error))
        else:  # white space of the card
            assert name == "card.json"
            np.testing.assert_array_equal(again.features("text").values["text"].numpy(), values)
    assert len(refusals) > 5
    assert all("delete the folder" in said for said in refusals)
    os.truncate(file, len(whole) // 2)
    with pytest.raises(FusionlabError, match="delete the folder"):
        encoded(tmp_path)
    shutil.rmtree(column.folder)
    np.testing.assert_array_equal(np.load(encoded(tmp_path).folder / "values.npy"), values)


def test_rows_of_a_damaged_column_are_not_copied(tmp_path):
    column = encoded(tmp_path)
    values = np.load(column.folder / "values.npy", mmap_mode="r+")
    values[0, 0, 0] += 1
    values.flush()
    with pytest.raises(FusionlabError, match="delete the folder"):
        encoded(tmp_path, [*WORDS, "another"])


def test_too_little_memory_for_a_batch_is_advice(tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    monkeypatch.setattr(BlockEncoder, "_forward", full)
    with pytest.raises(FusionlabError, match=r"lower encoders\.text\.batch_size \(now \d+\)"):
        encoded(tmp_path)
