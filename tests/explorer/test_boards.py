"""What is explored: finished studies, runs, and a clear word about everything else."""

import pytest
import yaml
from explored import STUDY, finished

from fusionlab.config import load_study
from fusionlab.errors import FusionlabError
from fusionlab.explorer.boards import open_board
from fusionlab.explorer.compare import table_of
from fusionlab.explorer.state import Explorer
from fusionlab.paper import run_study
from fusionlab.reporting.render import to_csv


def test_a_study_brings_its_rows_and_what_recommends(explorer):
    (board,) = explorer.boards
    assert board.title == STUDY["title"]
    assert board.strategies == ["concat", "mean_scores", "popularity"]
    assert board.row("concat").level == "feature"
    assert len(board.row("concat").records) == 2


def test_a_run_is_a_board_of_one_row(explorer, shop):
    _, store = finished(shop)
    run = explorer.boards[0].row("mean_scores").records[1].id
    board = open_board(run[:12], store)
    assert [row.label for row in board.rows] == board.strategies == ["mean_scores"]
    assert board.rows[0].records[0].id == run


def test_what_is_not_finished_says_how_to_finish_it(shop, tmp_path):
    _, store = finished(shop)
    file = tmp_path / "more.yaml"
    told = (shop / "study.yaml").read_text()
    file.write_text(told.replace('"seeds": [0, 1]', '"seeds": [0, 1, 2]'))
    with pytest.raises(
        FusionlabError, match=r"3 of its 9 runs are not under .*fusionlab study .*more.yaml"
    ):
        open_board(str(file), store)


def test_boards_may_share_runs(explorer, shop):
    _, store = finished(shop)
    study = explorer.boards[0]
    run = open_board(study.row("concat").records[0].id, store)
    both = Explorer([run, study], store)
    assert both.catalogue(0).users == both.catalogue(1).users
    assert len(both.catalogue(1)) == len(explorer.catalogue(0))


def test_the_board_is_that_of_the_report(shop, tmp_path):
    """What was tuned, and what one thing at a time is tested against, as `fusionlab study` says."""
    _, store = finished(shop)
    told = yaml.safe_load((shop / "study.yaml").read_text())
    told |= {"seeds": [0], "controls": [], "design": "one_at_a_time", "tune": {"trials": 2}}
    told["axes"] = {"fusion": ["mean_scores"]}
    file = tmp_path / "tuned.yaml"
    file.write_text(yaml.safe_dump(told))
    with pytest.raises(FusionlabError, match="2 of its 2 rows are not tuned yet"):
        open_board(str(file), store)
    report = run_study(load_study(file), tmp_path / "report", runs=store.root)
    board = open_board(str(file), store)
    assert board.results.reference == "base"
    assert all(len(row.ledger.trials) == 2 for row in board.rows)
    assert to_csv(table_of(board)) == to_csv(report.tables["quality"])


def test_what_is_neither_is_refused(shop):
    _, store = finished(shop)
    with pytest.raises(FusionlabError, match="run 'zz': found none"):
        open_board("zz", store)


def test_unknown_rows_and_boards(explorer):
    with (
        pytest.raises(FusionlabError, match=r"strategy: found 'concta'.*did you mean 'concat'"),
        explorer.service(0, "concta"),
    ):
        pass
    assert explorer.catalogue(7) is None
    assert explorer.users(7) == []
