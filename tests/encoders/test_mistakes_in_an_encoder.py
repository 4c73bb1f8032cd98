"""What one writes wrong in an encoder of one's own: what it returns, and what it leaves open."""

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
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Encoding


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
            r"test_mistakes_in_an_encoder.py: of_an_unknown_fault: found BadMedia with the fault "
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
