"""What users have said of items since a dataset was made, and the dataset with that in it.

Words are a frame with a row each: ``user`` and ``item`` (ids, text) and ``liked``, true (a click, a
high rating), false (a dislike, a low rating) or null: seen, and no word on liking. Of several words
of a user on one item the last row counts.
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
from fusionlab.data.situations import Situations
from fusionlab.errors import FusionlabError

SCHEMA = {"user": pl.String, "item": pl.String, "liked": pl.Boolean}
Ints = npt.NDArray[np.int64]


def words_fingerprint(words: pl.DataFrame) -> str:
    """SHA-256 (hex) of words, in order."""
    ids = [*text_content(words["user"]), *text_content(words["item"])]
    return fingerprint(["words", *ids, torch.from_numpy(_codes(words["liked"]))])


def with_words(dataset: Dataset, words: pl.DataFrame) -> Dataset:
    """The dataset as words change it; itself, where none is on a user and an item that it has.

    What is liked comes to the train clicks, after those that are there and in the order of the
    words; what is not liked goes. Validation and test lose every pair that is spoken of: they judge
    what the model was not told. Words on users and items that the dataset does not have count for
    nothing. In which situation something was said is not known: it is the unknown one.
    """
    before = _interactions(dataset)
    users, items, liked = in_rows(dataset, words)
    if not len(users):
        return dataset
    keys = users * before.n_items + items
    train = keys_of(before.train)
    kept = ~np.isin(train, keys[~liked.fill_null(True).to_numpy()])
    new = liked.fill_null(False).to_numpy() & ~np.isin(keys, train)
    after = replace(
        before,
        train=_added(_only(before.train, kept), keys[new], before.situations),
        valid=without(before.valid, keys),
        test=before.test.mapped(lambda clicks: without(clicks, keys)),
    )
    said = torch.from_numpy(keys), torch.from_numpy(_codes(liked))
    return replace(
        dataset, interactions=after, fingerprint=fingerprint([dataset.fingerprint, *said])
    )


def in_rows(dataset: Dataset, words: pl.DataFrame) -> tuple[Ints, Ints, pl.Series]:
    """Rows of users (n,) and items (n,) and ``liked`` (n,), a pair once, of what is there."""
    user_ids = _interactions(dataset).user_ids.cast(pl.String)
    found = pl.DataFrame(
        {
            "user": row_of(words["user"], user_ids),
            "item": row_of(words["item"], dataset.item_ids.cast(pl.String)),
            "liked": words["liked"],
        }
    )
    found = found.filter(found["user"].is_not_null() & found["item"].is_not_null())
    found = found.unique(["user", "item"], keep="last", maintain_order=True)
    return found["user"].to_numpy().copy(), found["item"].to_numpy().copy(), found["liked"]


def clicks_of(keys: Ints, like: Interactions) -> Clicks:
    """Pairs (E,), each user * N + item, as clicks of the users and items of ``like``; a user's in
    the order in which they stand."""
    users, items = np.divmod(keys, like.n_items)
    return Clicks.from_pairs(users, items, like.n_users, like.n_items)


def without(clicks: Clicks, keys: Ints) -> Clicks:
    """The clicks without the pairs ``keys`` (n,), each user * N + item."""
    return _only(clicks, ~np.isin(keys_of(clicks), keys))


def _only(clicks: Clicks, kept: npt.NDArray[np.bool_]) -> Clicks:
    users, items = np.divmod(keys_of(clicks)[kept], clicks.n_items)
    context = None if clicks.context is None else clicks.context[torch.from_numpy(kept)]
    return Clicks.from_pairs(users, items, clicks.n_users, clicks.n_items, context)


def _added(clicks: Clicks, keys: Ints, situations: Situations | None) -> Clicks:
    """The clicks and, after each user's, new ones of which no situation is known."""
    users, items = np.divmod(np.concatenate([keys_of(clicks), keys]), clicks.n_items)
    context = None
    if situations is not None and clicks.context is not None:
        unknown = situations.unknown.expand(len(keys), -1)
        context = torch.cat([clicks.context, unknown])
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
    if dataset.interactions is None:
        raise FusionlabError(f"dataset {dataset.name!r}: found no users, expected clicks")
    return dataset.interactions
