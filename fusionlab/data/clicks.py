"""What readers do alike: clicks out of a table, and the catalogue of known and clicked items."""

from __future__ import annotations

import polars as pl

from fusionlab.data.tables import Table


def read_clicks(
    table: Table, *, user: str, item: str, time: str, rating: str | None = None
) -> pl.DataFrame:
    """The clicks of `Found`: ids as text, the time where there is one, the rating if it is named.

    Columns are called as the table calls them.
    """
    columns = {}
    for key, name in (("user", user), ("item", item)):
        table.require(name)
        columns[key] = table.ids(name)
    if time in table:
        columns["time"] = table.numbers(time)
    if rating is not None:
        table.require(rating)
        columns["rating"] = table.numbers(rating)
    return pl.DataFrame(columns)


def union(known: pl.Series, clicked: pl.Series) -> pl.Series:
    """Every item once: those that are known, in their order, then the others by id."""
    return pl.concat([known, clicked.unique().sort()]).unique(maintain_order=True)
