"""The batch on which a loss became no number, kept by its ids."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from fusionlab.data.dataset import Dataset
from fusionlab.studies.build import AnyTask
from fusionlab.studies.store import DIVERGED_FILE
from fusionlab.training.diverged import DivergedError
from fusionlab.training.ranking import RankingTask


@contextmanager
def batch_kept(task: AnyTask, dataset: Dataset, folder: Path | None) -> Iterator[None]:
    """Where training diverges, write users and items (or items and classes) of the step into
    ``folder`` and say so; None: keep nothing."""
    try:
        yield
    except DivergedError as error:
        if folder is None or error.examples is None:
            raise
        file = folder / DIVERGED_FILE
        batch = _batch(task, dataset, error)
        batch.write_csv(file)
        raise DivergedError(
            f"{error}; the {len(batch)} examples of the step are named in {file}", error.examples
        ) from error


def _batch(task: AnyTask, dataset: Dataset, error: DivergedError) -> pl.DataFrame:
    assert error.examples is not None
    rows = error.examples.cpu()
    if isinstance(task, RankingTask):
        users, items = task.train.users[rows], task.train.items[rows]
        left, right = task.interactions.user_ids[users.tolist()], dataset.item_ids[items.tolist()]
        return pl.DataFrame({"user": left, "item": right})
    labelled = task.labels.train
    names = [task.labels.names[one] for one in labelled.classes[rows].tolist()]
    return pl.DataFrame({"item": dataset.item_ids[labelled.items[rows].tolist()], "class": names})
