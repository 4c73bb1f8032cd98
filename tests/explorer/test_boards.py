"""What is explored: finished studies, runs, and a clear word about everything else."""

import pytest
from explored import STUDY, finished

from fusionlab.errors import FusionlabError
from fusionlab.explorer.boards import open_board


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
        FusionlabError, match=r"found 6 of its 9 runs .*fusionlab study .*more.yaml"
    ):
        open_board(str(file), store)


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
