"""Users and seeds needed, from the spread of finished runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import METRICS, MakeRow
from statsmodels.stats.power import TTestPower

from fusionlab.errors import FusionlabError
from fusionlab.reporting.power_table import power_table
from fusionlab.reporting.results import Results
from fusionlab.reporting.scores import read_scores
from fusionlab.studies.record import Row


def results(rows: list[Row], **options: object) -> Results:
    return Results("Study", rows, METRICS, "ndcg@20", **options)


def test_users_and_seeds_by_hand(make_row: MakeRow) -> None:
    rows = [make_row("ids", "control", mean=0.1), make_row("sum"), make_row("gated", mean=0.22)]
    table = power_table(results(rows), 0.01)
    names = [column.name for column in table.columns]
    scores = read_scores(rows, ["ndcg@20"], "test")
    for row in table.rows():
        found = dict(zip(names, (cell.value for cell in row), strict=True))
        difference = scores[row[0].text]["ndcg@20"].by_seed - scores["ids"]["ndcg@20"].by_seed
        users, seeds = difference.mean(0).std(ddof=1), difference.mean(1).std(ddof=1)
        judge = TTestPower()
        n = judge.solve_power(0.01 / users, alpha=0.05 / 2, power=0.8)
        assert found["users"] == np.ceil(n)
        assert found["sd users"] == pytest.approx(users)
        assert found["sd seeds"] == pytest.approx(seeds)
        assert found["difference"] == pytest.approx(difference.mean())
    assert "against" not in table.notes[0]
    assert "from ids with 80% power" in table.notes[0]
    assert "40 users and 3 seeds" in table.notes[0]


def test_of_one_seed_seeds_are_unknown(make_row: MakeRow) -> None:
    rows = [make_row("ids", "control", seeds=(0.0,)), make_row("sum", seeds=(0.01,))]
    (row,) = power_table(results(rows), 0.01).rows()
    assert row[4].text == "unknown"


def test_rows_of_other_seeds_are_compared_with_the_mean(make_row: MakeRow) -> None:
    rows = [make_row("ids", "control", mean=0.1), make_row("sum")]
    other = [replace(one, config={"seed": 100 + k}) for k, one in enumerate(rows[1].records)]
    (row,) = power_table(results([rows[0], replace(rows[1], records=other)]), 0.01).rows()
    assert row[1].value == pytest.approx(0.05)


def test_wrong_input(make_row: MakeRow) -> None:
    rows = [make_row("ids", "control"), make_row("sum")]
    with pytest.raises(FusionlabError, match="found no control"):
        power_table(results(rows[1:]), 0.01)
    with pytest.raises(FusionlabError, match="difference: found -1"):
        power_table(results(rows), -1.0)
    with pytest.raises(FusionlabError, match="metric: found 'coverage@20'"):
        power_table(results(rows), 0.01, metric="coverage@20")
