"""A catalogue of rendered media on disk, to look at and to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fusionlab.data.dataset import Dataset
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.data.media import Medium, Raw
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings

ENDINGS = {Medium.IMAGE: ".png", Medium.AUDIO: ".wav"}


def write_folder(dataset: Dataset, folder: Path | str) -> None:
    """Write a dataset of rendered media as the format ``folder`` reads it.

    ``items.csv`` has a row an item: its id and a column a modality, which holds the text or the
    path of ``MODALITY/ID.png`` or ``.wav`` (nothing where the item lacks it). With clicks there is
    ``interactions.csv``: user, item and split, the test split included.
    """
    if not dataset.media:
        raise FusionlabError(
            f"dataset {dataset.name!r} has no media to write, expected features: rendered"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ids = dataset.item_ids.to_list()
    columns = {
        name: _column(folder, name, ENDINGS.get(media.medium, ""), ids, media.entries)
        for name, media in dataset.media.items()
    }
    pl.DataFrame(
        {"item": ids, **columns}, schema_overrides=dict.fromkeys(columns, pl.String)
    ).write_csv(folder / "items.csv")
    if dataset.interactions is not None:
        _clicks(dataset.interactions, dataset.item_ids).write_csv(folder / "interactions.csv")


def _column(
    folder: Path, name: str, ending: str, ids: Sequence[str], entries: Sequence[Raw | None]
) -> list[str | None]:
    """The cells of one modality, once its files are written."""
    cells: list[str | None] = []
    for item, raw in zip(ids, entries, strict=True):
        if isinstance(raw, bytes):
            path = Path(name) / f"{item}{ending}"
            (folder / name).mkdir(exist_ok=True)
            (folder / path).write_bytes(raw)
            raw = path.as_posix()
        cells.append(None if raw is None else str(raw))
    return cells


def _clicks(interactions: Interactions, item_ids: pl.Series) -> pl.DataFrame:
    parts: dict[str, Clicks] = {
        "train": interactions.train,
        "valid": interactions.valid,
        "test": interactions.test.open(Openings(), "writing the catalogue to a folder"),
    }
    return pl.concat(
        pl.DataFrame(
            {
                "user": interactions.user_ids[clicks.users.numpy()],
                "item": item_ids[clicks.items.numpy()],
            }
        ).with_columns(split=pl.lit(name))
        for name, clicks in parts.items()
    )
