"""Folders of pretrained models that were cut off or mixed up: a model, or one error."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.text.tiny import write_tiny
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import FATES, PLACE, contents, damaged
from tests.fuzzing.ground import bounded, ground, refusing_cleanly

__all__ = ["bounded", "ground"]

WAYS = st.sampled_from(["cut", "head off", "line", "flip", "cell", "whole"])
WORDS = st.sampled_from([b"", b"\xff", b"null", b"[]", b"{}", b'"', b'"a"', b"true", b"-1", b"0.5"])
"""No larger numbers: a configuration may ask for a model of any size."""
BLOWS = st.tuples(
    st.lists(st.tuples(st.integers(0, 99), WAYS, PLACE, WORDS), max_size=3),
    st.lists(FATES, max_size=1),
)


def built(folder):
    """The features of a text by the model of the folder."""
    part = {"name": "text_transformer", "model": str(folder), "max_length": 8}
    encoder = ENCODERS.parse(part).build()
    with torch.no_grad():
        return encoder(encoder.collate([encoder.prepare("a word")]))


@pytest.mark.usefixtures("bounded")
def test_a_damaged_folder_of_a_model_is_a_model_or_one_error(tmp_path, ground):
    write_tiny(tmp_path)
    files = contents(tmp_path)
    ground.lay(files)
    assert torch.isfinite(built(ground.root)[0]).all()

    @inputs("pretrained models")
    @given(BLOWS)
    def read(damage):
        ground.lay(damaged(files, damage))
        with refusing_cleanly():
            built(ground.root)
        ground.check_untouched()

    read()
