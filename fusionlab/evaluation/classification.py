"""Classification metrics: the same items and the same fusion, judged by the class of an item."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError, NotANumberError
from fusionlab.evaluation.result import Evaluation

AVERAGES = ("macro", "weighted")
CLASS_FIGURES = [
    f"{average}_{name}" for average in AVERAGES for name in ("precision", "recall", "f1")
]


def classify(
    logits: Tensor, classes: Tensor, names: Sequence[str], *, items: Tensor | None = None
) -> Evaluation:
    """Accuracy for every item; macro and weighted precision, recall and F1 over classes.

    The class of the highest logit is predicted, of equal ones the first. Averages run over the
    classes that have an item in this split, so which classes count does not depend on what was
    predicted; "weighted" weighs them by their items. A class that is never predicted has
    precision 0.

    Args:
        logits: (n, C) floating, one column a class in the order of ``names``.
        classes: (n,) int64, the true class.
        names: the C classes.
        items: (n,) rows of the items in the catalogue, 0..n-1 if not given.

    Returns:
        an `Evaluation` whose units are items: ``accuracy`` (1 right, 0 wrong) for every item, and
        ``macro_precision``, ``macro_recall``, ``macro_f1`` and the same with ``weighted_``.

    Raises:
        FusionlabError: shapes that do not fit, no item, a class out of range, NaN logits.
    """
    # Here, because a ranking run needs none of it and it takes a second to import.
    from sklearn.metrics import precision_recall_fscore_support

    units = torch.arange(len(classes)) if items is None else items.cpu()
    _check(logits, classes, names, units)
    truth, predicted = classes.cpu(), logits.argmax(dim=1).cpu()
    overall: dict[str, float] = {}
    for average in AVERAGES:
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth.numpy(),
            predicted.numpy(),
            labels=truth.unique().numpy(),
            average=average,
            zero_division=0,
        )
        overall |= {f"{average}_precision": float(precision)}
        overall |= {f"{average}_recall": float(recall), f"{average}_f1": float(f1)}
    return Evaluation(units, {"accuracy": (truth == predicted).double()}, overall)


def _check(logits: Tensor, classes: Tensor, names: Sequence[str], items: Tensor) -> None:
    expected = (len(classes), len(names))
    if tuple(logits.shape) != expected or not logits.is_floating_point():
        raise FusionlabError(
            f"logits: found {tuple(logits.shape)} of {logits.dtype}, expected floating-point "
            f"{expected}: one row an item, one column a class"
        )
    if len(items) != len(classes):
        raise FusionlabError(f"items: found {len(items)}, expected {len(classes)}, one a row")
    if len(classes) == 0:
        raise FusionlabError("classes: found no item, expected at least one")
    outside = ((classes < 0) | (classes >= len(names))).nonzero()[:, 0]
    if len(outside):
        row = int(outside[0])
        raise FusionlabError(
            f"classes: found {int(classes[row])} at item row {int(items[row])}, expected "
            f"0..{len(names) - 1}, the {len(names)} classes"
        )
    bad = logits.isnan().any(dim=1).nonzero()[:, 0]
    if len(bad):
        raise NotANumberError(
            f"logits: found NaN at item row {int(items[int(bad[0])])} (and {len(bad) - 1} more), "
            "expected numbers: has training diverged?"
        )
