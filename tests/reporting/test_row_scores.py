from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_runs import USERS, MakeRow

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import mean_interval
from fusionlab.reporting.scores import read_scores, recorded
from fusionlab.studies.record import Row


def test_means_spreads_and_interval(make_row: MakeRow) -> None:
    row = make_row("gated", mean=0.2, seeds=(-0.03, 0.0, 0.03))
    score = read_scores([row], ["recall@20"], "test")["gated"]["recall@20"]
    assert score.mean == pytest.approx(0.2)
    assert score.seeds == pytest.approx((0.17, 0.2, 0.23))
    assert score.spread == pytest.approx(0.03)
    frames = [record.per_user().filter(split="test").sort("user") for record in row.records]
    users = np.mean([frame["recall@20"].to_numpy() for frame in frames], axis=0)
    assert score.users == pytest.approx(users)
    assert score.interval == mean_interval(score.users)


def test_a_figure_without_users_has_no_interval(make_row: MakeRow) -> None:
    score = read_scores([make_row("gated")], ["coverage@20"], "test")["gated"]["coverage@20"]
    assert (score.mean, score.users, score.interval) == (0.5, None, None)


def test_one_seed_has_no_spread(make_row: MakeRow) -> None:
    row = make_row("gated", seeds=(0.0,))
    assert read_scores([row], ["ndcg@20"], "test")["gated"]["ndcg@20"].spread is None


def test_rows_judged_on_other_users_do_not_compare(make_row: MakeRow) -> None:
    rows = [make_row("gated"), make_row("sum", users=range(1, USERS + 1))]
    with pytest.raises(FusionlabError, match=r"'gated' and 'sum'.*1 only in 'gated' .such as 0"):
        read_scores(rows, ["ndcg@20"], "test")
    texts = make_row("late", users=[str(user) for user in range(USERS)])
    with pytest.raises(FusionlabError, match=r"'gated' and 'late'.*Int64.*String"):
        read_scores([rows[0], texts], ["ndcg@20"], "test")


def test_users_may_come_in_any_order(make_row: MakeRow) -> None:
    rows = [make_row("gated"), make_row("sum", users=range(USERS - 1, -1, -1))]
    assert set(read_scores(rows, ["ndcg@20"], "test")) == {"gated", "sum"}


def test_a_record_that_contradicts_its_users(make_row: MakeRow) -> None:
    row = make_row("gated", seeds=(0.0,))
    wrong = replace(row.records[0], metrics={"test": {"ndcg@20": 0.9}})
    with pytest.raises(FusionlabError, match=r"'gated'.*ndcg@20 = 0.9.*average 0.09"):
        read_scores([Row("gated", "strategy", [wrong])], ["ndcg@20"], "test")
    wrong = replace(row.records[0], metrics={"test": {"ndcg@20": float("nan")}})
    with pytest.raises(FusionlabError, match=r"ndcg@20 = nan"):
        read_scores([Row("gated", "strategy", [wrong])], ["ndcg@20"], "test")


@pytest.mark.parametrize(
    ("metric", "split", "message"),
    [
        ("ndgc@20", "test", r"metric: found 'ndgc@20'.*did you mean 'ndcg@20'"),
        ("ndcg@20", "tset", r"per-user scores on tset: found no user"),
    ],
)
def test_wrong_names(make_row: MakeRow, metric: str, split: str, message: str) -> None:
    with pytest.raises(FusionlabError, match=message):
        read_scores([make_row("gated")], [metric], split)


def test_rows_that_are_no_rows(make_row: MakeRow) -> None:
    row = make_row("gated")
    for rows, message in [
        ([], "found no rows"),
        ([row, row], "found 2 rows labelled 'gated'"),
        ([Row("gated", "strategy", [])], "'gated': found no runs"),
        ([Row("gated", "strategy", [row.records[0]] * 2)], "found run .* 2 times"),
    ]:
        with pytest.raises(FusionlabError, match=message):
            read_scores(rows, ["ndcg@20"], "test")


def test_double_users_and_missing_values_are_named(make_row: MakeRow) -> None:
    row = make_row("double", users=[7, 7, *range(10, 20)])
    with pytest.raises(FusionlabError, match="found user 7 more than once"):
        read_scores([row], ["ndcg@20"], "test")
    row = make_row("gated")
    folder = row.records[0].folder
    assert folder is not None
    frame = row.records[0].per_user()
    frame.with_columns(frame["ndcg@20"].set(frame["user"] == 5, None)).write_parquet(
        folder / "per_user.parquet"
    )
    with pytest.raises(FusionlabError, match=r"'gated'.*ndcg@20: found nan for user 5"):
        read_scores([row], ["ndcg@20"], "test")


def test_a_split_that_the_record_has_not_is_named(make_row: MakeRow) -> None:
    row = make_row("gated")
    message = r"row 'gated', run .*: split: found 'tset', expected one of: .*did you mean 'test'"
    with pytest.raises(FusionlabError, match=message):
        recorded(row, row.records[0], "tset", "ndcg@20")


def test_a_run_without_the_scores_of_users_that_others_have_is_named(make_row: MakeRow) -> None:
    row = make_row("gated")
    folder = row.records[0].folder
    assert folder is not None
    row.records[0].per_user().drop("ndcg@20").write_parquet(folder / "per_user.parquet")
    message = r"row 'gated', run .*: per-user metric: found 'ndcg@20', expected one of: recall@20"
    with pytest.raises(FusionlabError, match=message):
        read_scores([row], ["ndcg@20"], "test")
