"""Every registered encoder holds every check of the contract, in each of its recipes."""

import inspect
import io
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from letters import Letters, catalogue

from fusionlab.data.media import Media, Medium
from fusionlab.encoders.built import encoder_identity
from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.encode import Machine, encode
from fusionlab.encoders.store import FeatureStore
from fusionlab.errors import ConfigError
from fusionlab.part_class import option_notes
from fusionlab.schema import validate
from fusionlab.sections import Encoding
from tests.encoders.encoder_recipes import NEEDS, RECIPES, Folder, good_items, model_folders

BUILT_IN = [name for name in ENCODERS.names() if ENCODERS[name].__module__.startswith("fusionlab.")]
BATCHING = 1e-4
"""Of the largest entry: how far a row may move with its neighbours (sums in another order)."""
HALF = 0.97
"""The least cosine between a row in bfloat16 (8 bits) and in full precision."""
BAD = [None, Path("no such file"), b"neither picture nor sound\xff"]


@dataclass
class Subject:
    """An encoder in one configuration, and where its features may be kept."""

    part: dict
    root: Path

    @property
    def encoding(self):
        return validate(Encoding, {"of": "column", "encoder": self.part, "batch_size": 2})

    def build(self):
        """The encoder in evaluation mode, fitted if it has something to fit."""
        encoder = self.encoding.encoder.build().eval()
        encoder.fit(encoder.prepare(item) for item in self.items)
        return encoder

    @property
    def items(self):
        return good_items(ENCODERS[self.part["name"]].medium)

    @torch.no_grad()
    def rows(self, encoder, items):
        """Values and mask of items in one batch, masked values zero."""
        batch = encoder.collate([encoder.prepare(item) for item in items])
        values, mask = encoder(batch)
        return torch.where(mask[..., None], values, 0), mask

    def stored(self, store, entries=None, **options):
        """Values, mask and statuses as they are kept."""
        encoding = self.encoding.model_copy(update=options)
        medium = ENCODERS[self.part["name"]].medium
        entries = self.items if entries is None else entries
        dataset = replace(catalogue(entries), media={"column": Media(medium, entries)})
        places = FeatureStore(self.root / store)
        column = encode(dataset, {"column": encoding}, places, Machine(workers=0))["column"]
        arrays = [np.load(column.folder / f"{part}.npy") for part in ("values", "mask")]
        return *arrays, column.statuses


def rows_have_the_declared_shape(subject):
    values, mask, statuses = subject.stored("one")
    spec = subject.build().spec
    assert values.shape == (5, spec.tokens, spec.dim)
    assert mask.shape == (5, spec.tokens)
    assert np.isfinite(values).all()
    assert mask.any(1).all()
    assert (values[~mask] == 0).all()
    assert values.std(0).max() > 0, "every item has the same row"
    assert {one.status for one in statuses} == {"ok"}


def a_row_depends_on_its_item_alone(subject):
    encoder, items = subject.build(), subject.items
    values, mask = subject.rows(encoder, items)
    scale = values.abs().max()
    order = [3, 0, 4, 2, 1]
    moved, _ = subject.rows(encoder, [items[row] for row in order])
    assert (moved - values[order]).abs().max() <= BATCHING * scale
    for row, item in enumerate(items):
        alone, on = subject.rows(encoder, [item])
        assert on.sum() == mask[row].sum()
        assert (alone[0] - values[row, : on.shape[1]]).abs().max() <= BATCHING * scale


def what_cannot_be_read_masks_itself_alone(subject):
    items = subject.items
    values, mask, _ = subject.stored("good")
    entries = [*items[:2], BAD[0], *items[2:4], *BAD[1:], items[4]]
    good = [entry not in BAD for entry in entries]
    found, on, statuses = subject.stored("bad", entries)
    assert on.any(1).tolist() == good
    assert [one.status == "ok" for one in statuses] == good
    assert all(bool(one.why) != ok for one, ok in zip(statuses, good, strict=True))
    assert (found[~np.array(good)] == 0).all()
    assert np.array_equal(on[good], mask)
    np.testing.assert_allclose(found[good], values, atol=BATCHING * np.abs(values).max())


def twice_is_the_same_bytes(subject):
    once, again = (subject.stored(store) for store in ("once", "again"))
    assert once[0].tobytes() == again[0].tobytes()
    assert once[1].tobytes() == again[1].tobytes()


def saved_and_loaded_gives_the_same_bytes(subject):
    encoder, file = subject.build(), io.BytesIO()
    values, _ = subject.rows(encoder, subject.items)
    torch.save(encoder.state_dict(), file)
    file.seek(0)
    fresh = subject.encoding.encoder.build().eval()
    with torch.no_grad():
        for weight in fresh.parameters():
            weight.zero_()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(subject.rows(fresh, subject.items)[0], values)


def every_parameter_gets_a_gradient(subject):
    encoder = subject.build().train()
    batch = encoder.collate([encoder.prepare(item) for item in subject.items])
    learning = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    if not learning:
        return
    values, mask = encoder(batch)
    direction = torch.randn(values.shape[2], generator=torch.Generator().manual_seed(0))
    (values[mask] @ direction).sum().backward()
    assert not [name for name, p in learning.items() if p.grad is None]
    assert all(p.grad.isfinite().all() for p in learning.values())
    assert any(p.grad.any() for p in learning.values())


def half_precision_is_close(subject):
    full, mask, _ = subject.stored("full")
    half, on, _ = subject.stored("half", precision="bf16")
    assert np.array_equal(on, mask)
    assert half.dtype == full.dtype
    one, other = (torch.from_numpy(x[mask]).float() for x in (full, half))
    seen = one.norm(dim=1) > 1e-3 * one.norm(dim=1).max()
    assert torch.nn.functional.cosine_similarity(one[seen], other[seen]).min() > HALF


CHECKS = [
    rows_have_the_declared_shape,
    a_row_depends_on_its_item_alone,
    what_cannot_be_read_masks_itself_alone,
    twice_is_the_same_bytes,
    saved_and_loaded_gives_the_same_bytes,
    every_parameter_gets_a_gradient,
    half_precision_is_close,
]
CASES = [(name, number) for name in BUILT_IN for number in range(len(RECIPES.get(name, ())))]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return model_folders(tmp_path_factory.mktemp("models"))


@pytest.fixture
def configured(folders):
    """The configurations of a name's recipes."""

    def found(name):
        lacking = [one for one in NEEDS.get(name, ()) if find_spec(one) is None]
        if lacking:
            pytest.skip(f"pip install {' '.join(lacking)}")
        return [
            {"name": name}
            | {key: str(folders[x]) if isinstance(x, Folder) else x for key, x in recipe.items()}
            for recipe in RECIPES[name]
        ]

    return found


def test_every_built_in_encoder_has_recipes():
    assert sorted(RECIPES) == BUILT_IN, "give a new encoder at least two in encoder_recipes.py"
    assert all(len(found) > 1 for found in RECIPES.values())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(("name", "number"), CASES)
def test_contract(name, number, check, configured, tmp_path):
    check(Subject(configured(name)[number], tmp_path))


@pytest.mark.parametrize("name", BUILT_IN)
def test_no_two_configurations_share_an_identity(name, configured, tmp_path):
    def identities():
        subjects = [Subject(part, tmp_path) for part in configured(name)]
        return [
            str(encoder_identity(one.encoding, one.encoding.encoder.build())) for one in subjects
        ]

    first, second = identities(), identities()
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_option_is_documented_and_a_wrong_one_is_one_clear_error(name, configured):
    part, cls = configured(name)[0], ENCODERS[name]
    signature = inspect.signature(cls).parameters.values()
    options = {one.name for one in signature if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert len(options) == len(signature)
    assert ENCODERS.schema(name).model_fields.keys() - {"name"} == options
    assert option_notes(cls).keys() == options
    for option in options:
        with pytest.raises(ConfigError) as wrong:
            ENCODERS.parse({**part, option: {"no such": "value"}})
        assert {path[0] for path, _, _ in wrong.value.problems} == {option}
        assert len(wrong.value.problems) == 1
        with pytest.raises(ConfigError, match=f"unknown key.*did you mean {option!r}"):
            ENCODERS.parse({**part, option + "x": 1})


class Centred(Letters):
    def forward(self, batch):
        values, mask = super().forward(batch)
        return values - values.mean(0), mask


class Detached(Letters):
    def forward(self, batch):
        values, mask = super().forward(batch)
        return values.detach() @ self.mix, mask


class Forgetful(Letters):
    def __init__(self, **options):
        super().__init__(**options)
        self.shift = torch.rand(())

    def forward(self, batch):
        values, mask = super().forward(batch)
        return values + self.shift, mask


class Taller(Letters):
    def forward(self, batch):
        values, mask = super().forward(batch)
        return values / 0, mask


@pytest.mark.parametrize(
    ("cls", "check"),
    [
        (Centred, a_row_depends_on_its_item_alone),
        (Detached, every_parameter_gets_a_gradient),
        (Forgetful, saved_and_loaded_gives_the_same_bytes),
        (Forgetful, twice_is_the_same_bytes),
        (Taller, rows_have_the_declared_shape),
    ],
)
def test_checks_catch_the_faults_of_others(cls, check, tmp_path, monkeypatch):
    monkeypatch.setitem(ENCODERS._parts, "letters", cls)
    assert cls.medium is Medium.TEXT
    with pytest.raises(AssertionError):
        check(Subject({"name": "letters"}, tmp_path))
