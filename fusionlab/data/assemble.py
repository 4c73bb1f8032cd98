"""From what a reader found to a `Dataset`: ids to rows, duplicates, k-core, split, fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from pydantic import Field
from torch import Tensor

from fusionlab.data.arrays import FeatureRows
from fusionlab.data.dataset import Dataset
from fusionlab.data.features import ItemFeatures, is_modality_name
from fusionlab.data.fingerprint import fingerprint, text_content
from fusionlab.data.media import Media
from fusionlab.data.privacy import Pseudonyms
from fusionlab.data.situations import context_content, with_context
from fusionlab.data.splits import Given, Ratio, Split, split_clicks
from fusionlab.data.tables import Table
from fusionlab.errors import FusionlabError

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
CoreSize = Annotated[int, Field(ge=0)]
SPLIT_CODES = {"0": 0, "1": 1, "2": 2, "train": 0, "valid": 1, "validation": 1, "test": 2}
CHECKED = ("time", "split")


@dataclass(frozen=True)
class Found:
    """What a reader of a format found, its cells checked, its ids still the user's own.

    ``clicks`` has a row for each row of ``table``: ``user`` and ``item`` ids, and ``time``,
    ``rating``, ``split`` (0, 1, 2) where the format has them. ``catalogue`` holds every item once;
    ``item_column`` of the table is where an item of a click stands. ``item_facts`` and
    ``user_facts`` are further columns by ``item`` and ``user``, read only by a split that asks.
    ``media`` are columns of raw media in the order of the catalogue. ``pseudonyms`` are what users
    are called, where not by their own ids.
    """

    name: str
    table: Table
    item_column: str
    clicks: pl.DataFrame
    catalogue: pl.Series
    features: Mapping[str, FeatureRows]
    item_facts: pl.DataFrame | None = None
    user_facts: pl.DataFrame | None = None
    media: Mapping[str, Media] = field(default_factory=dict)
    pseudonyms: Pseudonyms | None = None


@dataclass
class _Clicks:
    """Clicks by row of user and item, and what was taken out on the way."""

    frame: pl.DataFrame
    user_ids: pl.Series
    item_ids: pl.Series
    kept_items: Ints | None = None
    notes: dict[str, int] = field(default_factory=dict)


def assemble(
    found: Found,
    split: Split | None = None,
    *,
    min_rating: float | None = None,
    k_core: int = 0,
    context: Sequence[str] = (),
) -> Dataset:
    """Put a dataset together, or refuse it and say why.

    Without ``split`` the published one is used where there is one, else `Ratio`. In this order:
    ratings below ``min_rating`` go, then repeated clicks of one pair (the oldest stays; with a
    published split the one in the earliest split), then users and items outside the k-core. All of
    it is counted in `Dataset.notes`. An item without a feature row keeps its place, its mask off.
    ``context`` names columns of the table: the situations of the clicks.
    """
    if split is None:
        split = Given() if "split" in found.clicks.columns else Ratio()
    _check_names(found.features)
    positions = {name: _positions(found, rows) for name, rows in found.features.items()}
    needed = with_context(_with_needed_columns(found, split), found.table, context)
    clicks = _distinct_clicks(found, needed, min_rating)
    if k_core:
        _reduce_to_core(found, clicks, k_core)
    features = _features(found.features, positions, clicks.kept_items)
    frame = clicks.frame
    try:
        assignment = split.assign(frame)
        interactions = split_clicks(
            frame, assignment, clicks.user_ids, len(clicks.item_ids), context
        )
    except FusionlabError as error:
        raise FusionlabError(f"{found.table.file}: {error}") from None
    rows = [torch.from_numpy(frame[key].to_numpy().copy()) for key in ("user", "item")]
    content = [*text_content(clicks.user_ids), *text_content(clicks.item_ids), *rows]
    told = context_content(frame, context)
    return Dataset(
        name=found.name,
        item_ids=clicks.item_ids,
        features=features,
        interactions=interactions,
        labels=None,
        fingerprint=fingerprint(
            ["clicks", features, *content, torch.from_numpy(assignment), *told]
        ),
        notes=clicks.notes,
        media=_media(found, clicks.kept_items),
        pseudonyms=found.pseudonyms,
    )


def row_of(values: pl.Series, ids: pl.Series) -> pl.Series:
    """(E,) the row of each value among the distinct ``ids``; null where it is not there."""
    lookup = pl.DataFrame({"id": ids, "row": pl.int_range(len(ids), dtype=pl.Int64, eager=True)})
    asked = pl.DataFrame({"id": values})
    return asked.join(lookup, on="id", how="left", maintain_order="left")["row"]


def _with_needed_columns(found: Found, split: Split) -> pl.DataFrame:
    """The clicks with user, item, time and rating, and whatever else the split asks for."""
    standard = [c for c in ("user", "item", "time", "rating") if c in found.clicks.columns]
    clicks = found.clicks.select(standard)
    for name in split.needs:
        if name in clicks.columns:
            continue
        clicks = clicks.with_columns(_needed_column(found, split, name).alias(name))
    return clicks


def _needed_column(found: Found, split: Split, name: str) -> pl.Series:
    """A column of the clicks, of their items or of their users, whichever has it first.

    Time and split come from the reader alone: a column that happens to bear the name is unchecked.
    """
    if name in found.clicks.columns:
        return found.clicks[name]
    raw = found.table.frame.drop(CHECKED, strict=False)
    if name in raw.columns:
        return raw[name]
    known = [*found.clicks.columns, *raw.columns]
    for key, facts in (("item", found.item_facts), ("user", found.user_facts)):
        if facts is None:
            continue
        facts = facts.drop(CHECKED, strict=False)
        if name in facts.columns:
            asked, of_key = found.clicks.select(key), facts.select(key, name)
            return asked.join(of_key, on=key, how="left", maintain_order="left")[name]
        known += facts.columns
    raise FusionlabError(f"{found.table.file}: {split.lacks(name, sorted(set(known)))}")


def _distinct_clicks(found: Found, clicks: pl.DataFrame, min_rating: float | None) -> _Clicks:
    """Ids become rows; each pair once; users in order, each one's clicks oldest first."""
    items = row_of(clicks["item"], found.catalogue)
    found.table.refuse(
        found.item_column,
        items.is_null(),
        f"one of the {len(found.catalogue)} items of the dataset",
    )
    clicks, notes = clicks.with_columns(items.alias("item")), dict[str, int]()
    if min_rating is not None:
        if "rating" not in clicks.columns:
            raise FusionlabError(
                f"{found.table.file}: found no rating of the clicks, which min_rating "
                f"({min_rating}) reads; expected a column of ratings, or no min_rating"
            )
        liked = clicks.filter(pl.col("rating") >= min_rating)
        notes["clicks_below_min_rating"] = len(clicks) - len(liked)
        clicks = liked
    user_ids = clicks["user"].unique().sort()
    clicks = clicks.with_columns(row_of(clicks["user"], user_ids).alias("user"))
    if "split" in clicks.columns:
        several = len(clicks.unique(["user", "item", "split"])) - len(
            clicks.unique(["user", "item"])
        )
        notes["pairs_in_several_splits"] = several
    priority = [column for column in ("split", "time") if column in clicks.columns]
    if priority:
        clicks = clicks.sort(priority, maintain_order=True)
    distinct = clicks.unique(["user", "item"], keep="first", maintain_order=True)
    notes["duplicates_removed"] = len(clicks) - len(distinct)
    return _Clicks(
        distinct.sort("user", maintain_order=True), user_ids, found.catalogue, notes=notes
    )


def _reduce_to_core(found: Found, clicks: _Clicks, k: int) -> None:
    """Keep the k-core and renumber what is left."""
    users, items = clicks.frame["user"].to_numpy(), clicks.frame["item"].to_numpy()
    kept = in_k_core(users, items, k)
    if not kept.any():
        raise FusionlabError(
            f"{found.table.file}: k_core is {k}, but no user and item would be left: "
            f"expected a smaller number"
        )
    kept_users, user_rows = np.unique(users[kept], return_inverse=True)
    kept_items, item_rows = np.unique(items[kept], return_inverse=True)
    clicks.notes["users_below_k_core"] = len(clicks.user_ids) - len(kept_users)
    clicks.notes["items_below_k_core"] = len(clicks.item_ids) - len(kept_items)
    clicks.frame = clicks.frame.filter(kept).with_columns(
        pl.Series("user", user_rows, pl.Int64), pl.Series("item", item_rows, pl.Int64)
    )
    clicks.user_ids, clicks.item_ids = clicks.user_ids[kept_users], clicks.item_ids[kept_items]
    clicks.kept_items = kept_items


def in_k_core(users: Ints, items: Ints, k: int) -> Bools:
    """(E,) bool: the greatest set of clicks in which each user and each item has at least ``k``."""
    kept = np.ones(len(users), dtype=bool)
    while True:
        by_user = np.bincount(users[kept], minlength=users.max(initial=-1) + 1)
        by_item = np.bincount(items[kept], minlength=items.max(initial=-1) + 1)
        fewer = kept & (by_user[users] >= k) & (by_item[items] >= k)
        if np.array_equal(fewer, kept):
            return kept
        kept = fewer


def _check_names(features: Mapping[str, FeatureRows]) -> None:
    for name, rows in features.items():
        if not is_modality_name(name):
            raise FusionlabError(
                f"{rows.file}: found the modality name {name!r}, expected any other: the one "
                "view of all modalities is called so"
            )


def _positions(found: Found, rows: FeatureRows) -> Ints:
    """(N,) the feature row of each item of the catalogue, -1 where there is none."""
    n_items = len(found.catalogue)
    if rows.ids is None:
        if len(rows) != n_items:
            raise FusionlabError(
                f"{rows.file}: found {len(rows)} feature rows, expected {n_items}, one an item"
            )
        return np.arange(n_items)
    ids = rows.ids.ids()
    if len(ids) != len(rows):
        raise FusionlabError(
            f"{rows.file}: found {len(rows)} feature rows, expected {len(ids)}, one an id of "
            f"{rows.ids.table.file}"
        )
    rows.ids.refuse(~ids.is_first_distinct(), "each item once")
    items = row_of(ids, found.catalogue)
    rows.ids.refuse(items.is_null(), f"one of the {n_items} items of the dataset")
    positions = np.full(n_items, -1, dtype=np.int64)
    positions[items.to_numpy()] = np.arange(len(rows))
    return positions


def _features(
    features: Mapping[str, FeatureRows], positions: Mapping[str, Ints], kept: Ints | None
) -> ItemFeatures | None:
    if not features:
        return None
    values, mask = {}, {}
    for name, rows in features.items():
        position = positions[name] if kept is None else positions[name][kept]
        values[name], mask[name] = _placed(rows, torch.from_numpy(position))
    return ItemFeatures(values, mask)


def _media(found: Found, kept: Ints | None) -> Mapping[str, Media]:
    assert all(len(column) == len(found.catalogue) for column in found.media.values())
    if kept is None:
        return found.media
    rows = kept.tolist()
    return {name: column.take(rows) for name, column in found.media.items()}


def _placed(rows: FeatureRows, position: Tensor) -> tuple[Tensor, Tensor]:
    """Values and mask in the order of the catalogue; copied only if the file has another order."""
    if torch.equal(position, torch.arange(len(rows))):
        return rows.values, rows.mask
    absent = position < 0
    source = position.clamp(min=0)
    values, mask = rows.values.index_select(0, source), rows.mask.index_select(0, source)
    values[absent] = 0
    mask[absent] = False
    return values, mask
