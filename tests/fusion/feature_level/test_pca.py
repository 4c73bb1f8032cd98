"""pca against scikit-learn's, on the items that have every modality."""

import numpy as np
import pytest
import torch
from feature_reference import MODALITIES, mean_tokens, random_items
from sklearn.decomposition import PCA

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS


def fitted(items, dim=8, **options):
    fusion = FUSIONS.parse({"name": "pca", **options}).build(items.specs, dim).double()
    fusion.fit(items)
    return fusion


def concatenated(items):
    """(n, P) of the items that have every modality, and their rows."""
    rows = [r for r in range(len(items)) if len(mean_tokens(items, r)) == len(items.values)]
    return np.array([np.concatenate(list(mean_tokens(items, r).values())) for r in rows]), rows


def scales(x, items, scale):
    """What each column is divided by."""
    if scale == "none":
        return np.ones(x.shape[1])
    if scale == "feature":
        return x.std(0, ddof=1)
    found, start = [], 0
    for spec in items.specs.values():
        block = x[:, start : start + spec.dim]
        total = sum(block[:, k].var(ddof=1) for k in range(spec.dim))
        found += [total**0.5] * spec.dim
        start += spec.dim
    return np.array(found)


@pytest.mark.parametrize("modalities", MODALITIES)
@pytest.mark.parametrize("scale", ["modality", "feature", "none"])
@pytest.mark.parametrize("whiten", [False, True])
def test_equals_scikit_learn(modalities, scale, whiten):
    items = random_items(modalities, n=150)
    x, rows = concatenated(items)
    s = scales(x, items, scale)
    k = min(8, x.shape[1])
    theirs = PCA(k, svd_solver="full", whiten=whiten).fit(x / s)
    fusion = fitted(items, scale=scale, whiten=whiten)
    assert fusion.fitted_on == len(rows)
    spectrum, views = fusion.spectrum.numpy(), fusion(items).views[:, 0].numpy()
    np.testing.assert_allclose(spectrum[:k], theirs.explained_variance_, rtol=1e-6)
    expected = theirs.transform(x / s)
    expected *= np.sign((expected * views[rows][:, :k]).sum(0))
    np.testing.assert_allclose(views[rows][:, :k], expected, atol=1e-5)
    assert (views[:, k:] == 0).all()
    assert (spectrum[k:] == 0).all()


def test_an_absent_modality_counts_as_its_mean():
    items = random_items(3, n=150)
    x, _ = concatenated(items)
    means = np.split(x.mean(0), np.cumsum([spec.dim for spec in items.specs.values()])[:-1])
    fusion = fitted(items, scale="none")
    some = items.only(["text"]).take(torch.arange(1, 20))
    filled = ItemFeatures(
        {
            "text": some.values["text"],
            "image": torch.tensor(means[1]).expand(19, 2, -1),
            "audio": torch.tensor(means[2]).expand(19, 4, -1),
        },
        {
            "text": some.mask["text"],
            "image": torch.ones(19, 2, dtype=torch.bool),
            "audio": torch.ones(19, 4, dtype=torch.bool),
        },
    )
    rows = some.present("text")
    assert torch.allclose(fusion(some).views[rows], fusion(filled).views[rows], atol=1e-6)


def test_products_of_views_are_those_of_the_features_when_all_directions_are_kept():
    items = random_items(2, n=100)
    x, rows = concatenated(items)
    views = fitted(items, dim=16, scale="none")(items).views[rows, 0].numpy()
    centred = x - x.mean(0)
    np.testing.assert_allclose(views @ views.T, centred @ centred.T, atol=1e-5)


def test_features_that_never_vary_and_few_items_are_no_trouble():
    items = random_items(2, n=8)
    items.values["image"] = torch.ones_like(items.values["image"])
    for scale in ("modality", "feature", "none"):
        fusion = fitted(items, dim=16, scale=scale, whiten=True)
        assert fusion(items).views.isfinite().all()
        assert (fusion.spectrum > 0).sum() == fusion.fitted_on - 1


def test_a_large_mean_does_not_cost_digits():
    items = random_items(2, n=150)
    moved = ItemFeatures({n: x + 1000 for n, x in items.values.items()}, items.mask)
    views = [FUSIONS.parse("pca").build(items.specs, 4).float() for _ in range(2)]
    for fusion, given in zip(views, (items, moved), strict=True):
        fusion.fit(given.to(dtype=torch.float32))
    near, far = views[0](items.to(dtype=torch.float32)), views[1](moved.to(dtype=torch.float32))
    assert torch.allclose(near.views, far.views, atol=1e-3)


def test_a_fitted_state_loads_into_an_instance_that_was_never_fitted():
    items = random_items(3, n=60)
    fusion = fitted(items)
    other = FUSIONS.parse("pca").build(items.specs, 8).double()
    other.load_state_dict(fusion.state_dict())
    assert torch.equal(other(items).views, fusion(items).views)


@pytest.mark.parametrize("name", ["pca", "cca"])
def test_is_refused_before_it_is_fitted(name):
    items = random_items(2)
    with pytest.raises(FusionlabError, match=f"fusion '{name}': found no fit"):
        FUSIONS.parse(name).build(items.specs, 4)(items)


@pytest.mark.parametrize("name", ["pca", "cca"])
def test_no_item_with_every_modality_is_an_error_with_counts(name):
    on = torch.tensor([[True], [True], [True], [False], [False]])
    items = ItemFeatures(
        {"a": torch.randn(5, 1, 3), "b": torch.randn(5, 1, 4)}, {"a": on, "b": ~on}
    )
    fusion = FUSIONS.parse(name).build(items.specs, 4)
    with pytest.raises(FusionlabError, match=r"0 of 5 train items .*\(a 3, b 2\), expected at"):
        fusion.fit(items)
    with pytest.raises(FusionlabError, match=r"0 of 5 train items .*\(a 3, b 0\), expected at"):
        fusion.fit(items.without_columns(["b"]))


@pytest.mark.parametrize("name", ["pca", "cca"])
def test_a_visible_feature_that_is_not_finite_is_an_error_that_names_the_modality(name):
    items = random_items(2, n=60)
    items.values["image"][items.mask["image"]] = torch.inf
    fusion = FUSIONS.parse(name).build(items.specs, 4)
    with pytest.raises(FusionlabError, match="modality 'image' that are not finite"):
        fusion.fit(items)


@pytest.mark.parametrize("name", ["pca", "cca"])
def test_has_no_parameters_but_moves_and_saves_its_buffers(name):
    fusion = FUSIONS.parse(name).build({"a": FeatureSpec(3), "b": FeatureSpec(4)}, 6)
    assert not list(fusion.parameters())
    shapes = {key: tuple(x.shape) for key, x in fusion.state_dict().items()}
    assert shapes == {
        "maps.a.mean": (3,),
        "maps.a.weight": (6, 3),
        "maps.b.mean": (4,),
        "maps.b.weight": (6, 4),
        "spectrum": (6,),
        "fitted_on": (),
    }
    assert fusion.to(torch.bfloat16).maps["a"].weight.dtype == torch.bfloat16


def test_the_largest_entry_of_a_component_is_positive():
    fusion = fitted(random_items(2, n=60), scale="none")
    loadings = torch.cat([fixed.weight for fixed in fusion.maps.values()], 1)
    kept = loadings[loadings.any(1)]
    assert len(kept) > 3
    assert (kept.gather(1, kept.abs().argmax(1, keepdim=True)) > 0).all()
