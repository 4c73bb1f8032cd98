"""Groups of users: by how much they clicked, or as a file has them."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from fusionlab.data.dataset import Dataset
from fusionlab.errors import FusionlabError

ACTIVITY = "activity"
THIRDS = ("few", "some", "many")


def user_groups(asked: str, dataset: Dataset, users: Tensor) -> dict[str, Tensor]:
    """Which of the ``users`` (n,), rows, are in each group: places among them, by the group's name.

    Args:
        asked: "activity", thirds by the number of train clicks (users with equally many stay
            together), or a CSV file with columns user and group; a user may be in several groups,
            or in none.
        dataset: whose users they are.
        users: those that are judged; a group without any is left out.

    Raises:
        FusionlabError: no users, no such file or columns, or a user that the dataset does not have.
    """
    if dataset.interactions is None:
        raise FusionlabError("--groups: found items with classes, expected a run with users")
    if asked == ACTIVITY:
        return _thirds(dataset.interactions.train.counts[users])
    file = Path(asked)
    if not os.path.isfile(file):
        raise FusionlabError(f"--groups: found {asked!r}, expected {ACTIVITY!r} or a CSV file")
    return _of_file(file, dataset, dataset.interactions.user_ids, users)


def _thirds(counts: Tensor) -> dict[str, Tensor]:
    ordered, n = counts.sort().values, len(counts)
    bounds = torch.stack([ordered[(n * part - 1) // 3] for part in (1, 2)])
    third = (counts[:, None] > bounds).sum(1)
    found = {}
    for number, name in enumerate(THIRDS):
        rows = (third == number).nonzero()[:, 0]
        if len(rows):
            least, most = int(counts[rows].min()), int(counts[rows].max())
            found[f"{name} clicks ({least} to {most})"] = rows
    return found


def _of_file(file: Path, dataset: Dataset, ids: pl.Series, users: Tensor) -> dict[str, Tensor]:
    try:
        frame = pl.read_csv(file, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError as error:
        raise FusionlabError(f"{file}: found no CSV ({error})") from error
    if not {"user", "group"} <= {*frame.columns}:
        raise FusionlabError(f"{file}: found columns {frame.columns}, expected user and group")
    frame = frame.select("user", "group").drop_nulls().unique(maintain_order=True)
    given = frame["user"]
    known_as = [dataset.known_as(user) for user in given]
    frame = frame.with_columns(pl.Series("user", known_as, pl.String))
    names = ids.cast(pl.String)
    known = frame["user"].is_in(names.to_list())
    if not known.all():
        stranger = given.filter(~known)[0]
        raise FusionlabError(
            f"{file}: found user {stranger!r}, expected users of the dataset, such as {names[0]!r}"
        )
    place = {name: row for row, name in enumerate(names[users.numpy()].to_list())}
    found: dict[str, list[int]] = {}
    for user, group in frame.iter_rows():
        if user in place:
            found.setdefault(group, []).append(place[user])
    return {group: torch.tensor(rows).sort().values for group, rows in found.items()}
