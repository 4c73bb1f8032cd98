"""YAML and overrides of every kind: a configuration, or one error that says where."""

import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.config import load_config
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOW, HOSTILE, ROOT, contents, struck
from tests.fuzzing.ground import bounded, ground, refusing_cleanly

__all__ = ["bounded", "ground"]

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


PLACE = "experiments/fuzzed.yaml"


def read(ground, text, overrides=()):
    """Read ``text`` from a file beside all others, which may be its bases."""
    ground.lay({**FILES, PLACE: text})
    with refusing_cleanly():
        load_config(ground.root / PLACE, overrides)
    ground.check_untouched()


TEXTS = (
    st.tuples(st.sampled_from(sorted(FILES)), st.lists(BLOW, max_size=3)).map(
        lambda drawn: struck(FILES[drawn[0]], drawn[1])
    )
    | st.tuples(st.sampled_from(sorted(PARSED)), st.dictionaries(KEY, DATA, max_size=3)).map(
        lambda drawn: yaml.safe_dump(PARSED[drawn[0]] | drawn[1]).encode()
    )
    | st.dictionaries(KEY, DATA, min_size=1, max_size=4).map(
        lambda data: yaml.safe_dump(data).encode()
    )
)


@pytest.mark.usefixtures("bounded")
def test_a_configuration_file_is_read_or_refused(ground):
    @inputs("configuration")
    @given(TEXTS)
    def test(text):
        read(ground, text)

    test()


DOTTED = st.lists(KEY, min_size=1, max_size=4).map(".".join)
VALUE = DATA.map(lambda data: yaml.safe_dump(data, default_flow_style=True).strip()) | (
    st.sampled_from([one.decode(errors="replace") for one in HOSTILE if len(one) < 6000])
)
OVERRIDE = st.tuples(DOTTED, VALUE).map("=".join)
OVERRIDES = st.lists(OVERRIDE, max_size=3) | st.lists(st.text(max_size=12), max_size=2)


@pytest.mark.usefixtures("bounded")
def test_overrides_are_read_or_refused(ground):
    @inputs("overrides")
    @given(st.sampled_from(sorted(FILES)), OVERRIDES)
    def test(name, overrides):
        read(ground, FILES[name], overrides)

    test()
