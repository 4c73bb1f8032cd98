"""Names that NumPy and SciPy removed and that RecBole 1.2.1 and MMRec still read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

NUMPY = {
    "float": np.float64,
    "float_": np.float64,
    "complex_": np.complex128,
    "int": np.int64,
    "bool": np.bool_,
    "unicode_": np.str_,
}


def restore() -> None:
    """Bring them back in this process; none of them is on the way of timed work."""
    for name, kind in NUMPY.items():
        if name not in vars(np):
            setattr(np, name, kind)
    if not hasattr(sp.dok_matrix, "_update"):
        sp.dok_matrix._update = _update


def _update(matrix: Any, entries: Mapping[tuple[int, int], float]) -> None:
    matrix._dict.update(entries)
