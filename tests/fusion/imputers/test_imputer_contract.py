"""Every imputer, held against the contract."""

import copy
import io

import pytest
import torch

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS
from fusionlab.fusion.imputers.contract import IMPUTERS

SPECS = {"text": FeatureSpec(6, 3), "a.type": FeatureSpec(5), "audio": FeatureSpec(4, 2)}
NAMES = IMPUTERS.names()
IMPUTING = [name for name in NAMES if name != "none"]


def catalogue(n=40, seed=0, specs=SPECS):
    """Item 0 has everything, item 1 nothing; the others lack tokens and modalities at random."""
    draw = torch.Generator().manual_seed(seed)
    values, mask = {}, {}
    for name, spec in specs.items():
        values[name] = torch.randn(n, spec.tokens, spec.dim, generator=draw)
        there = torch.rand(n, generator=draw) > 0.4
        there[:2] = torch.tensor([True, False])
        on = torch.rand(n, spec.tokens, generator=draw) > 0.3
        on[:, 0] = True
        mask[name] = on & there[:, None]
    return ItemFeatures(values, mask)


def with_nan(items):
    hidden = {
        n: torch.where(items.mask[n][..., None], x, torch.nan) for n, x in items.values.items()
    }
    return ItemFeatures(hidden, items.mask)


def fitted(name, items=None, specs=SPECS):
    imputer = IMPUTERS.parse(name).build(specs)
    imputer.fit(catalogue(60, seed=1) if items is None else items)
    return imputer.eval()


def same(first, second):
    assert first.modalities == second.modalities
    for name, x in first.values.items():
        on = first.mask[name]
        assert torch.equal(on, second.mask[name])
        assert torch.equal(x[on], second.values[name][on])


@pytest.mark.parametrize("name", NAMES)
def test_what_an_item_has_is_not_touched(name):
    items = catalogue()
    kept = {n: x.clone() for n, x in items.values.items()}
    found = fitted(name)(items)
    for modality in SPECS:
        has = items.present(modality)
        assert torch.equal(found.values[modality][has], kept[modality][has])
        assert torch.equal(found.mask[modality][has], items.mask[modality][has])
        assert torch.equal(items.values[modality], kept[modality])
    whole = items.take(torch.tensor([0, 0, 0]))
    same(fitted(name)(whole), whole)


@pytest.mark.parametrize("name", IMPUTING)
def test_an_item_with_one_modality_gets_all_and_one_with_none_gets_none(name):
    items = catalogue()
    found = fitted(name)(items)
    some = torch.stack([items.present(m) for m in SPECS]).any(0)
    for modality in SPECS:
        assert torch.equal(found.present(modality), some)
        assert found.values[modality][some].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_nan_behind_masks_never_leaks(name):
    clean, hidden = catalogue(), with_nan(catalogue())
    train = catalogue(60, seed=1)
    found, other = fitted(name, train)(clean), fitted(name, with_nan(train))(hidden)
    same(found, other)
    for modality in SPECS:
        assert found.values[modality][found.mask[modality]].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_modality_is_one_that_was_never_there(name):
    items, imputer = catalogue(), fitted(name)
    masked = imputer(items.only(["text", "audio"]))
    gone = imputer(items.without_columns(["a.type"]))
    if name == "none":
        assert not masked.mask["a.type"].any()
        gone = ItemFeatures(
            {n: gone.values.get(n, items.values[n]) for n in SPECS},
            {n: gone.mask.get(n, torch.zeros_like(items.mask[n])) for n in SPECS},
        )
    same(masked, gone)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_independent(name):
    items, imputer = catalogue(), fitted(name)
    rows = torch.tensor([7, 3, 1, 11, 4])
    whole, part = imputer(items).take(rows), imputer(items.take(rows))
    for modality in SPECS:
        on = whole.mask[modality]
        assert torch.equal(on, part.mask[modality])
        torch.testing.assert_close(whole.values[modality][on], part.values[modality][on])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_fitted_on_what_it_is_given_alone(name):
    """The same train items in another catalogue: nothing of the others is known."""
    train = torch.arange(0, 40, 2)
    one, other = catalogue(), catalogue()
    for x in other.values.values():
        x[1::2] = 1e6
    first, second = (fitted(name, items.take(train)) for items in (one, other))
    assert first.state_dict().keys() == second.state_dict().keys()
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])


@pytest.mark.parametrize("name", NAMES)
def test_it_saves_and_loads(name):
    items, imputer = catalogue(), fitted(name)
    file = io.BytesIO()
    torch.save(imputer.state_dict(), file)
    file.seek(0)
    other = IMPUTERS.parse(name).build(SPECS)
    other.load_state_dict(torch.load(file, weights_only=True))
    same(imputer(items), other(items))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_type_of_the_features_stays(name, dtype):
    items = catalogue().to(dtype=dtype)
    found = fitted(name, catalogue(60, seed=1).to(dtype=dtype))(items)
    assert {x.dtype for x in found.values.values()} == {dtype}


@pytest.mark.parametrize("name", NAMES)
def test_token_ids_are_left_alone(name):
    items = catalogue()
    ids = torch.randint(0, 9, (40, 4, 1), generator=torch.Generator().manual_seed(2))
    on = (torch.arange(40) % 2 == 0)[:, None].expand(-1, 4)
    beside = ItemFeatures(items.values | {"ids": ids}, items.mask | {"ids": on}, {"ids": 9})
    imputer = IMPUTERS.parse(name).build(beside.specs)
    imputer.fit(beside)
    found = imputer(beside)
    assert torch.equal(found.values["ids"], ids)
    assert torch.equal(found.mask["ids"], on)
    assert found.modalities == beside.modalities


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_first_thing_a_fusion_does_and_copies_go_apart(name):
    imputer, items = fitted(name), catalogue()
    fusion = FUSIONS.parse("concat").build(SPECS, 8)
    expected = fusion(imputer(items)).views
    imputer.attach(fusion)
    assert torch.equal(fusion(items).views, expected)
    assert all(f"imputer.{key}" in fusion.state_dict() for key in imputer.state_dict())
    twin = copy.deepcopy(fusion)
    for tensor in imputer.state_dict().values():
        tensor.fill_(3)
    assert torch.equal(twin(items).views, expected)


def test_a_learned_vector_learns_where_something_is_missing():
    imputer, items = fitted("learned"), catalogue()
    found = imputer(items)
    sum(x[found.mask[n]].sum() for n, x in found.values.items()).backward()
    for name, vector in imputer.vectors.items():
        filled = (found.present(name) & ~items.present(name)).sum()
        assert torch.equal(vector.grad, filled.expand_as(vector).float())
    imputer.zero_grad(set_to_none=False)
    whole = imputer(items.take(torch.tensor([0])))
    sum(x.sum() for x in whole.values.values()).backward()  # there is a graph all the same
    assert not any(vector.grad.any() for vector in imputer.vectors.values())


def test_the_means_are_those_of_tokens_that_are_there():
    train = with_nan(catalogue(60, seed=1))
    items = catalogue().only(["text"])
    for name in ("mean", "learned"):
        found = fitted(name, train)(items).values["audio"][0]
        for token in range(2):
            there = train.mask["audio"][:, token]
            expected = train.values["audio"][there, token].mean(0)
            torch.testing.assert_close(found[token], expected)


def test_zero_is_zero():
    found = fitted("zero")(catalogue().only(["text"]))
    assert found.mask["audio"][0].all()
    assert not found.values["audio"][0].any()
