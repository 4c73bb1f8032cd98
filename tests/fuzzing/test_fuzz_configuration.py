"""YAML and overrides of every kind: a configuration, or one error that says where."""

import string
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.config import load_config
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import (
    BLOW,
    HOSTILE,
    ROOT,
    bounded,
    contents,
    refusing_cleanly,
    seen,
    struck,
)

__all__ = ["bounded"]

FILES = {
    name: content
    for name, content in contents(ROOT / "configs").items()
    if name.endswith(".yaml") and b"plugins" not in content
}
PARSED = {name: yaml.safe_load(content) for name, content in FILES.items()}


def keys(data):
    """Every key that some configuration file uses."""
    if isinstance(data, dict):
        return set(data).union(*map(keys, data.values()))
    return set().union(*map(keys, data)) if isinstance(data, list) else set()


KEYS = sorted(set().union(*map(keys, PARSED.values())) | {"base", "name", "transfer", "privacy"})
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["nan", "concat", "${dataset}", "${oc.env:HOME}", "1e9", "~", "../x.yaml"])
    | st.dates()
)
KEY = st.sampled_from(KEYS) | st.text(string.ascii_letters + "._-", max_size=6)
DATA = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=8,
)


def read(text, overrides=()):
    with tempfile.TemporaryDirectory() as home:
        for name, content in FILES.items():  # as bases of what is read
            (Path(home) / name).parent.mkdir(exist_ok=True, parents=True)
            (Path(home) / name).write_bytes(content)
        file = Path(home) / "experiments" / "fuzzed.yaml"
        file.write_bytes(text)
        before = seen(Path(home))
        with refusing_cleanly():
            load_config(file, overrides)
        assert seen(Path(home)) == before


@pytest.mark.usefixtures("bounded")
@inputs("configuration")
@given(
    st.tuples(st.sampled_from(sorted(FILES)), st.lists(BLOW, max_size=3)).map(
        lambda drawn: struck(FILES[drawn[0]], drawn[1])
    )
    | st.tuples(st.sampled_from(sorted(PARSED)), st.dictionaries(KEY, DATA, max_size=3)).map(
        lambda drawn: yaml.safe_dump(PARSED[drawn[0]] | drawn[1]).encode()
    )
    | DATA.map(lambda data: yaml.safe_dump(data).encode())
)
def test_a_configuration_file_is_read_or_refused(text):
    read(text)


DOTTED = st.lists(KEY, min_size=1, max_size=4).map(".".join)
VALUE = DATA.map(lambda data: yaml.safe_dump(data, default_flow_style=True).strip()) | (
    st.sampled_from([one.decode(errors="replace") for one in HOSTILE if len(one) < 6000])
)


@pytest.mark.usefixtures("bounded")
@inputs("overrides")
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(DOTTED, VALUE).map("=".join) | st.text(max_size=12), max_size=3),
)
def test_overrides_are_read_or_refused(name, overrides):
    read(FILES[name], overrides)
