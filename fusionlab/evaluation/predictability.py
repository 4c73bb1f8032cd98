"""How well the features of one modality tell those of another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.layers import pool_tokens

SAMPLE, WIDEST, FEWEST, FOLDS = 4096, 64, 20, 5
RIDGES = np.logspace(-2, 5, 8)
Floats = npt.NDArray[np.float64]


def predictability(features: ItemFeatures) -> dict[str, dict[str, float]]:
    """R^2 of each modality from each other one, by ridge regression, ``[source][target]``.

    R^2 = 1 - sum |y - yhat|^2 / sum |y - mean y|^2 over all columns, of items that were left out in
    five folds; the weight of the ridge is chosen within each fold by the closed-form
    leave-one-out error. It is about 0 where there is nothing linear to tell and may be a little
    below. Tokens are averaged; what is wider than 64 columns is reduced to its 64 principal axes;
    at most 4096 items that have both are looked at. Token ids and row numbers are no vectors: such
    a modality is left out, and so is a pair that fewer than 20 items have.
    """
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    vectors: dict[str, Floats] = {}
    there: dict[str, npt.NDArray[np.bool_]] = {}
    chosen = order[: 2 * SAMPLE].sort().values
    for name, x in features.values.items():
        if x.is_floating_point():
            rows = chosen.to(x.device)
            mask = features.mask[name][rows]
            vectors[name] = pool_tokens(x[rows].float(), mask).double().cpu().numpy()
            there[name] = mask.any(1).cpu().numpy()
    return {source: _told(source, vectors, there) for source in vectors}


def _told(
    source: str, vectors: Mapping[str, Floats], there: Mapping[str, npt.NDArray[np.bool_]]
) -> dict[str, float]:
    found = {}
    for target in vectors:
        both = np.flatnonzero(there[source] & there[target])[:SAMPLE]
        if target != source and len(both) >= FEWEST:
            found[target] = _r2(_narrow(vectors[source][both]), _narrow(vectors[target][both]))
    return found


def _narrow(x: Floats) -> Floats:
    from sklearn.decomposition import PCA  # a second to import

    if x.shape[1] <= WIDEST:
        return x
    reduced: Floats = PCA(min(WIDEST, len(x) // 2), random_state=0).fit_transform(x)
    return reduced


def _r2(x: Floats, y: Floats) -> float:
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    folds = KFold(FOLDS, shuffle=True, random_state=0)
    guessed = cross_val_predict(RidgeCV(RIDGES), x, y, cv=folds).reshape(y.shape)
    total = np.square(y - y.mean(0)).sum()
    return float(1 - np.square(y - guessed).sum() / total) if total > 0 else 0.0
