"""cca against classical CCA, scikit-learn's, and MAXVAR computed another way."""

import numpy as np
import pytest
import scipy.linalg
import torch
from feature_reference import random_items
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA
from test_pca import concatenated

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.contract import FUSIONS

WIDTHS = {"text": 6, "image": 5, "audio": 4, "touch": 7}


def related_items(modalities, n=300, seed=0, shared=3):
    """Modalities that are views of the same few factors, with noise; some are missing."""
    draw = np.random.default_rng(seed)
    factors = draw.normal(size=(n, shared)) * np.array([3.0, 1.5, 0.7])
    values, mask = {}, {}
    for name in list(WIDTHS)[:modalities]:
        x = factors @ draw.normal(size=(shared, WIDTHS[name])) + draw.normal(size=(n, WIDTHS[name]))
        on = draw.random(n) > 0.15
        values[name] = torch.tensor(np.where(on[:, None], 2 * x + 5, np.nan))[:, None]
        mask[name] = torch.tensor(on)[:, None]
    return ItemFeatures(values, mask)


def fitted(items, dim=8, **options):
    fusion = FUSIONS.parse({"name": "cca", **options}).build(items.specs, dim).double()
    fusion.fit(items)
    return fusion


def orthonormal(items):
    """A basis Q_m (n, d_m) of each modality's centred features, over the complete items."""
    x, rows = concatenated(items)
    at = np.cumsum([spec.dim for spec in items.specs.values()])[:-1]
    return [np.linalg.qr(block - block.mean(0))[0] for block in np.split(x, at, axis=1)], rows


def turned(found, expected):
    return expected * np.sign((found * expected).sum(0))


def test_two_modalities_are_classical_cca():
    """Bjorck and Golub: correlations and variates from the SVD of Q_1^T Q_2."""
    items = related_items(2)
    (q1, q2), rows = orthonormal(items)
    u, correlations, vt = np.linalg.svd(q1.T @ q2)
    fusion = fitted(items, ridge=0, power=0)
    np.testing.assert_allclose(fusion.spectrum[:5], correlations, atol=1e-6)
    assert (fusion.spectrum[5:] == 0).all()
    deviation = (len(rows) - 1) ** 0.5
    variates = [q1 @ u[:, :5] * deviation, q2 @ vt.T * deviation]
    expected = (variates[0] + variates[1]) / 2
    views = fusion(items).views[rows, 0].numpy()
    np.testing.assert_allclose(views[:, :5], turned(views[:, :5], expected), atol=1e-5)
    assert (views[:, 5:] == 0).all()


def test_two_modalities_have_the_correlations_of_scikit_learn():
    items = related_items(2)
    x, _ = concatenated(items)
    theirs = CCA(2, max_iter=5000, tol=1e-10).fit(x[:, :6], x[:, 6:])
    a, b = theirs.transform(x[:, :6], x[:, 6:])
    expected = [np.corrcoef(a[:, k], b[:, k])[0, 1] for k in range(2)]
    np.testing.assert_allclose(fitted(items, ridge=0).spectrum[:2], expected, atol=1e-5)


@pytest.mark.parametrize("modalities", [3, 4])
def test_more_modalities_are_maxvar(modalities):
    """Kettenring: z maximises the summed squared correlation with the spans of all modalities;
    it is a left singular vector of [Q_1 ... Q_M], and its part in m is Q_m Q_m^T z."""
    items = related_items(modalities)
    bases, rows = orthonormal(items)
    u, sigma, _ = np.linalg.svd(np.column_stack(bases), full_matrices=False)
    rho = (sigma**2 - 1) / (modalities - 1)
    fusion = fitted(items, dim=4, ridge=0, power=0)
    np.testing.assert_allclose(fusion.spectrum, rho[:4], atol=1e-6)
    expected = []
    for k in range(4):
        parts = [q @ (q.T @ u[:, k]) for q in bases]
        total = sum(part @ part for part in parts) / (len(rows) - 1)
        expected.append(sum(parts) / modalities * (modalities / total) ** 0.5)
    views = fusion(items).views[rows, 0].numpy()
    np.testing.assert_allclose(views, turned(views, np.array(expected).T), atol=1e-5)


def test_an_item_without_a_modality_gets_the_mean_of_the_variates_it_has():
    items = related_items(3)
    fusion = fitted(items, dim=4)
    alone = torch.stack([fusion(items.only([n])).views[:, 0] for n in items.modalities], 1)
    views = fusion(items).views[:, 0]
    for row in range(len(items)):
        has = [m for m, name in enumerate(items.modalities) if items.present(name)[row]]
        expected = alone[row, has].mean(0) if has else torch.zeros(4, dtype=torch.float64)
        assert torch.allclose(views[row], expected, atol=1e-9)
    assert not all(items.present(name).all() for name in items.modalities)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_the_ridge_solves_the_penalised_problem(ridge):
    items = related_items(3)
    x, _ = concatenated(items)
    covariance = np.cov(x.T)
    between, within = covariance.copy(), np.zeros_like(covariance)
    start = 0
    for spec in items.specs.values():
        at = slice(start, start + spec.dim)
        variances = np.diag(covariance)[at]
        within[at, at] = covariance[at, at] + ridge * variances.mean() * np.eye(spec.dim)
        between[at, at] = 0
        start += spec.dim
    values = scipy.linalg.eigh(between, within, eigvals_only=True)[::-1]
    fusion = fitted(items, dim=4, ridge=ridge)
    np.testing.assert_allclose(fusion.spectrum, values[:4] / 2, atol=1e-6)


def test_power_weighs_components_by_their_correlation():
    items = related_items(2)
    plain, weighted = fitted(items, power=0), fitted(items, power=2)
    expected = plain(items).views * plain.spectrum**2
    assert torch.allclose(weighted(items).views, expected, atol=1e-9)


def test_one_modality_is_whitened_pca():
    items = related_items(1)
    x, rows = concatenated(items)
    fusion = fitted(items, dim=8, ridge=0)
    views = fusion(items).views[rows, 0].numpy()
    expected = PCA(6, whiten=True, svd_solver="full").fit_transform(x)
    np.testing.assert_allclose(views[:, :6], turned(views[:, :6], expected), atol=1e-5)
    assert (views[:, 6:] == 0).all()
    assert fusion.spectrum.tolist() == [1.0] * 6 + [0.0] * 2


def test_finds_the_shared_factor_and_leaves_out_what_only_one_modality_has():
    draw = torch.Generator().manual_seed(0)
    shared, own = torch.randn(2000, 1, generator=draw), torch.randn(2000, 2, generator=draw)
    noise = torch.randn(2000, 2, generator=draw) / 10
    values = {
        "a": torch.cat([shared + noise[:, :1], 10 * own[:, :1]], 1)[:, None],
        "b": torch.cat([10 * own[:, 1:], shared + noise[:, 1:]], 1)[:, None],
    }
    items = ItemFeatures(values, {n: torch.ones(2000, 1, dtype=torch.bool) for n in values})
    fusion = FUSIONS.parse({"name": "cca", "ridge": 0}).build(items.specs, 2)
    fusion.fit(items)
    view = fusion(items).views[:, 0]
    assert abs(np.corrcoef(view[:, 0], shared[:, 0])[0, 1]) > 0.99
    assert fusion.spectrum[0] == pytest.approx(1 / 1.01, abs=0.01)
    assert fusion.spectrum[1] < 0.1


def test_more_features_than_items_is_no_trouble():
    items = random_items(4, n=60)
    for ridge in (0, 0.1):
        fusion = fitted(items, dim=16, ridge=ridge)
        assert fusion.fitted_on < sum(spec.dim for spec in items.specs.values())
        assert fusion(items).views.isfinite().all()
        assert (fusion.spectrum <= 1 + 1e-9).all()
