"""What is in a dataset, in figures, before anything is trained on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Group, RenderableType
from rich.table import Table
from torch import Tensor

from fusionlab.data.dataset import Dataset, Labels
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Interactions
from fusionlab.data.media import Media
from fusionlab.seal import Openings

WHY = "counting for inspection"


@dataclass(frozen=True)
class Spread:
    """The least, the median and the greatest of some counts."""

    minimum: int
    median: float
    maximum: int

    @classmethod
    def of(cls, counts: Tensor) -> Spread:
        """Of integer counts (n,), n >= 1; the median of an even number is the middle two's mean."""
        ordered = counts.sort().values
        middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]
        return cls(int(ordered[0]), int(middle) / 2, int(ordered[-1]))


@dataclass(frozen=True)
class ClickCounts:
    """Counts of clicks; ``per_user`` and ``per_item`` are over all splits, zeros included.

    ``sparsity`` is 1 - E / (U * N), the share of pairs without a click; ``context``, by column, the
    number of values that train clicks have.
    """

    users: int
    by_split: Mapping[str, int]
    sparsity: float
    per_user: Spread
    per_item: Spread
    users_only_outside_train: int
    items_only_outside_train: int
    items_never_clicked: int
    context: Mapping[str, int]


@dataclass(frozen=True)
class Coverage:
    """How many items have a modality, ``share`` of the catalogue, and the shape of its features."""

    items: int
    share: float
    dim: int
    tokens: int
    dtype: str


@dataclass(frozen=True)
class MediaCoverage:
    """How many items have an entry in a column of raw media, and how many of those have no file."""

    medium: str
    items: int
    share: float
    files_not_found: int


@dataclass(frozen=True)
class Inspection:
    """A dataset in figures. ``test_opened`` is the ledger of what was counted behind the seal."""

    name: str
    fingerprint: str
    items: int
    clicks: ClickCounts | None
    classes: Mapping[str, int] | None
    modalities: Mapping[str, Coverage]
    items_without_modality: int
    media: Mapping[str, MediaCoverage]
    notes: Mapping[str, int]
    test_opened: list[dict[str, str]]

    @property
    def duplicates_removed(self) -> int:
        """Repeated clicks of one user on one item that the reader took out."""
        return self.notes.get("duplicates_removed", 0)


def inspect(dataset: Dataset) -> Inspection:
    """Count what is there. Of the test split nothing but counts leaves this function."""
    ledger = Openings()
    clicks, labels, features = dataset.interactions, dataset.labels, dataset.features
    n_items = len(dataset.item_ids)
    has_any = torch.zeros(n_items, dtype=torch.bool)
    if features is not None:
        for name in features.modalities:
            has_any |= features.present(name)
    return Inspection(
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        items=n_items,
        clicks=None if clicks is None else _count_clicks(clicks, ledger),
        classes=None if labels is None else _count_labels(labels, ledger),
        modalities={} if features is None else _cover(features),
        items_without_modality=int((~has_any).sum()),
        media={name: _cover_media(column) for name, column in dataset.media.items()},
        notes=dict(dataset.notes),
        test_opened=ledger.entries,
    )


def _count_clicks(clicks: Interactions, ledger: Openings) -> ClickCounts:
    test = clicks.test.open(ledger, WHY)
    train = clicks.train
    per_user = train.counts + clicks.valid.counts + test.counts
    per_item = train.popularity + clicks.valid.popularity + test.popularity
    pairs = clicks.n_users * clicks.n_items
    told = {} if clicks.situations is None else clicks.situations.values
    return ClickCounts(
        users=clicks.n_users,
        by_split={"train": len(train), "valid": len(clicks.valid), "test": len(test)},
        sparsity=1 - int(per_user.sum()) / pairs,
        per_user=Spread.of(per_user),
        per_item=Spread.of(per_item),
        users_only_outside_train=int(((train.counts == 0) & (per_user > 0)).sum()),
        items_only_outside_train=int(((train.popularity == 0) & (per_item > 0)).sum()),
        items_never_clicked=int((per_item == 0).sum()),
        context={name: len(values) for name, values in told.items()},
    )


def _count_labels(labels: Labels, ledger: Openings) -> dict[str, int]:
    """Labelled items by split, and the number of classes."""
    return {
        "train": len(labels.train.items),
        "valid": len(labels.valid.items),
        "test": len(labels.test.open(ledger, WHY).items),
        "classes": len(labels.names),
    }


def _cover(features: ItemFeatures) -> dict[str, Coverage]:
    covered = {}
    for name, spec in features.specs.items():
        present = int(features.present(name).sum())
        dtype = str(features.values[name].dtype).removeprefix("torch.")
        covered[name] = Coverage(present, present / len(features), spec.dim, spec.tokens, dtype)
    return covered


def _cover_media(column: Media) -> MediaCoverage:
    """Files are looked for, not opened."""
    there = [entry for entry in column.entries if entry is not None]
    lost = sum(isinstance(entry, Path) and not os.path.isfile(entry) for entry in there)
    return MediaCoverage(str(column.medium), len(there), len(there) / len(column), lost)


def render(inspection: Inspection) -> RenderableType:
    """The figures as tables for the terminal."""
    parts: list[RenderableType] = [_overview(inspection)]
    if inspection.modalities:
        parts.append(_modality_table(inspection))
    if inspection.media:
        parts.append(_media_table(inspection))
    return Group(*parts)


def _overview(inspection: Inspection) -> Table:
    table = Table(title=f"dataset {inspection.name}", show_header=False)
    table.add_column("what")
    table.add_column("count", justify="right")
    clicks = inspection.clicks
    table.add_row("items", f"{inspection.items:,}")
    if clicks is not None:
        _add_clicks(table, clicks)
    for split, count in (inspection.classes or {}).items():
        label = "classes" if split == "classes" else f"labelled items, {split}"
        table.add_row(label, f"{count:,}")
    if inspection.modalities:
        table.add_row("items without any modality", f"{inspection.items_without_modality:,}")
    for note, count in inspection.notes.items():
        table.add_row(note.replace("_", " "), f"{count:,}")
    table.add_row("fingerprint", inspection.fingerprint[:12])
    return table


def _add_clicks(table: Table, clicks: ClickCounts) -> None:
    table.add_row("users", f"{clicks.users:,}")
    for split, count in clicks.by_split.items():
        table.add_row(f"clicks, {split}", f"{count:,}")
    table.add_row("sparsity", f"{clicks.sparsity:.4%}")
    for what, spread in (("user", clicks.per_user), ("item", clicks.per_item)):
        figures = f"{spread.minimum:,} / {spread.median:,g} / {spread.maximum:,}"
        table.add_row(f"clicks per {what} (min / median / max)", figures)
    table.add_row("users seen only outside train", f"{clicks.users_only_outside_train:,}")
    table.add_row("items seen only outside train", f"{clicks.items_only_outside_train:,}")
    table.add_row("items never clicked", f"{clicks.items_never_clicked:,}")
    for name, values in clicks.context.items():
        table.add_row(f"context {name}, values in train", f"{values:,}")


def _modality_table(inspection: Inspection) -> Table:
    table = Table("modality", header_style="bold")
    for column in ("items", "share", "width", "tokens", "type"):
        table.add_column(column, justify="right")
    for name, cover in inspection.modalities.items():
        figures = (f"{cover.items:,}", f"{cover.share:.2%}", str(cover.dim), str(cover.tokens))
        table.add_row(name, *figures, cover.dtype)
    return table


def _media_table(inspection: Inspection) -> Table:
    table = Table("raw media", header_style="bold")
    for column in ("medium", "items", "share", "files not found"):
        table.add_column(column, justify="right")
    for name, cover in inspection.media.items():
        figures = (f"{cover.items:,}", f"{cover.share:.2%}", f"{cover.files_not_found:,}")
        table.add_row(name, cover.medium, *figures)
    return table
