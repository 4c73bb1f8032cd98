"""Modules and parameters by any name."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fusionlab.data.by_name import ByName

ODD = ["type", "keys", "a.b", "a", "a%2Eb", "%", "training", "_modules", "_registered", "hold"]
NAMES = st.lists(
    st.one_of(
        st.sampled_from([*ODD, *dir(nn.Module())]), st.text("ab.%2E5_", min_size=1, max_size=6)
    ),
    unique=True,
    max_size=8,
)


@given(NAMES)
def test_parts_of_any_names_are_kept_apart_and_come_back(names):
    modules = {name: nn.Linear(1, 1) for name in names}
    parameters = {name: nn.Parameter(torch.randn(2)) for name in names}
    for parts in (modules, parameters):
        held = ByName(parts).train().eval()
        assert [*held] == names
        assert len(held) == len(names)
        assert dict(held.items()) == parts
        assert [*held.values()] == [*parts.values()]
        assert len([*held.parameters()]) == len(names) * (2 if parts is modules else 1)


@given(NAMES)
def test_the_state_comes_back(names):
    first, second = (ByName({name: nn.Linear(2, 3) for name in names}) for _ in range(2))
    second.load_state_dict(first.state_dict())
    for name in names:
        assert torch.equal(first[name].weight, second[name].weight)


@given(NAMES)
def test_torch_finds_every_part_by_the_name_it_is_registered_under(names):
    held = ByName({name: nn.Linear(2, 3) for name in names})
    for key, parameter in held.named_parameters():
        assert held.get_parameter(key) is parameter


def test_ordinary_names_stand_in_the_state_as_they_are():
    held = ByName({"text": nn.Linear(2, 3), "lidar 2": nn.Linear(2, 3), "a.b": nn.Linear(2, 3)})
    assert {key.rsplit(".", 1)[0] for key in held.state_dict()} == {"text", "lidar 2", "a%2Eb"}


def test_a_name_that_is_not_there_is_a_key_error():
    with pytest.raises(KeyError, match="image"):
        ByName({"text": nn.Linear(1, 1)})["image"]
