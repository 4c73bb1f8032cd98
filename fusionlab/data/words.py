"""What users have said of items since a dataset was made, and the dataset with that in it.

Words are a frame with a row each: ``user`` and ``item`` (ids, text) and ``liked``, true (a click, a
high rating), false (a dislike, a low rating) or null: seen, and no word on liking. Of several words
of a user on one item the last row counts. In which situation it was said may stand in context
columns beside (`situations.column_of`), as text.

A word without an item says that somebody whom the dataset does not have joins its users. One who
joined and was forgotten since has no id there.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from fusionlab.data.assemble import row_of
from fusionlab.data.dataset import Dataset
from fusionlab.data.fingerprint import fingerprint, text_content
from fusionlab.data.interactions import Clicks, Interactions
from fusionlab.data.situations import context_content, context_in

SCHEMA = {"user": pl.String, "item": pl.String, "liked": pl.Boolean}
Ints = npt.NDArray[np.int64]


def words_fingerprint(words: pl.DataFrame) -> str:
    """SHA-256 (hex) of words, in order."""
    ids = [*text_content(words["user"].fill_null("")), *text_content(words["item"].fill_null(""))]
    told = context_content(words, context_in(words))
    return fingerprint(["words", *ids, torch.from_numpy(_codes(words["liked"])), *told])


def with_words(dataset: Dataset, words: pl.DataFrame) -> Dataset:
    """The dataset as words change it; itself, where none is on a user and an item that it has.

    What is liked comes to the train clicks, after those that are there and in the order of the
    words; what is not liked goes. Validation and test lose every pair that is spoken of: they judge
    what the model was not told. Who joins stands after the users that are there, in train alone.
    Words of others, and on items that the dataset does not have, count for nothing. The situation
    of a new click is read as those of the dataset's own: what is not told, and a value that none of
    its train clicks has, is unknown.
    """
    dataset = _joined(dataset, words)
    before, said = _interactions(dataset), in_rows(dataset, words)
    if said.is_empty():
        return dataset
    keys, liked = said["key"].to_numpy(), said["liked"]
    train = keys_of(before.train)
    kept = ~np.isin(train, keys[~liked.fill_null(True).to_numpy()])
    new = liked.fill_null(False).to_numpy() & ~np.isin(keys, train)
    after = replace(
        before,
        train=_added(_only(before.train, kept), keys[new], context_of(dataset, said.filter(new))),
        valid=without(before.valid, keys),
        test=before.test.mapped(lambda clicks: without(clicks, keys)),
    )
    content = [torch.from_numpy(keys.copy()), torch.from_numpy(_codes(liked))]
    told = context_of(dataset, said)
    content += [] if told is None else [told]
    return replace(
        dataset, interactions=after, fingerprint=fingerprint([dataset.fingerprint, *content])
    )


def _joined(dataset: Dataset, words: pl.DataFrame) -> Dataset:
    """The dataset with who joins as its last users; what is known of its own users and items is
    not known of them, so it has no truth."""
    clicks = _interactions(dataset)
    known = clicks.user_ids.cast(pl.String)
    new = words.filter(pl.col("item").is_null())["user"]
    new = new.filter(new.is_null() | (new.is_first_distinct() & ~new.is_in(known.implode())))
    if new.is_empty():
        return dataset
    nameless = [f"\0{row}" for row in range(len(known), len(known) + len(new))]
    ids = pl.concat([known, pl.select(pl.coalesce(new, pl.Series(nameless))).to_series()])
    grown = clicks.changed(ids, lambda some: some.among(len(ids), clicks.n_items))
    content = [dataset.fingerprint, "joined", *text_content(new.fill_null(""))]
    return replace(dataset, interactions=grown, truth=None, fingerprint=fingerprint(content))


def in_rows(dataset: Dataset, words: pl.DataFrame) -> pl.DataFrame:
    """The words on what is there, a pair once: ``user`` and ``item`` are rows, and ``key`` is
    user * N + item."""
    clicks = _interactions(dataset)
    found = words.with_columns(
        row_of(words["user"], clicks.user_ids.cast(pl.String)).alias("user"),
        row_of(words["item"], dataset.item_ids.cast(pl.String)).alias("item"),
    )
    found = found.drop_nulls(["user", "item"])
    found = found.unique(["user", "item"], keep="last", maintain_order=True)
    return found.with_columns((pl.col("user") * clicks.n_items + pl.col("item")).alias("key"))


def context_of(dataset: Dataset, words: pl.DataFrame) -> torch.Tensor | None:
    """(n, columns): in which situation each word was said; None where clicks have none."""
    situations = _interactions(dataset).situations
    return None if situations is None else situations.told_in(words)


def clicks_of(keys: Ints, like: Interactions, context: torch.Tensor | None = None) -> Clicks:
    """Pairs (E,), each user * N + item, as clicks of the users and items of ``like``; a user's in
    the order in which they stand. ``context`` (E, n) is their situation."""
    users, items = np.divmod(keys, like.n_items)
    return Clicks.from_pairs(users, items, like.n_users, like.n_items, context)


def without(clicks: Clicks, keys: Ints) -> Clicks:
    """The clicks without the pairs ``keys`` (n,), each user * N + item."""
    return _only(clicks, ~np.isin(keys_of(clicks), keys))


def _only(clicks: Clicks, kept: npt.NDArray[np.bool_]) -> Clicks:
    users, items = np.divmod(keys_of(clicks)[kept], clicks.n_items)
    context = None if clicks.context is None else clicks.context[torch.from_numpy(kept)]
    return Clicks.from_pairs(users, items, clicks.n_users, clicks.n_items, context)


def _added(clicks: Clicks, keys: Ints, context: torch.Tensor | None) -> Clicks:
    """The clicks and, after each user's, new ones with the situations ``context``."""
    users, items = np.divmod(np.concatenate([keys_of(clicks), keys]), clicks.n_items)
    if clicks.context is not None and context is not None:
        context = torch.cat([clicks.context, context])
    return Clicks.from_pairs(users, items, clicks.n_users, clicks.n_items, context)


def new_clicks(after: Clicks, before: Clicks) -> torch.Tensor:
    """Positions (n,) in ``after`` of the pairs that are not in ``before``."""
    return torch.from_numpy((~np.isin(keys_of(after), keys_of(before))).nonzero()[0])


def keys_of(clicks: Clicks) -> Ints:
    """(E,) the pairs of clicks, each user * N + item."""
    keys: Ints = (clicks.users * clicks.n_items + clicks.items).numpy()
    return keys


def _codes(liked: pl.Series) -> npt.NDArray[np.int8]:
    return liked.cast(pl.Int8).fill_null(-1).to_numpy().copy()


def _interactions(dataset: Dataset) -> Interactions:
    assert dataset.interactions is not None
    return dataset.interactions
