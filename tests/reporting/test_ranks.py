"""Studies side by side: the table of ranks and the critical-difference diagram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import METRICS, MakeRow

from fusionlab.errors import FusionlabError
from fusionlab.reporting.ranks import critical_difference, rank_studies
from fusionlab.reporting.results import Results
from fusionlab.reporting.style import SINGLE_WIDTH, save


def study(make_row: MakeRow, number: int, **means: float) -> Results:
    rows = [make_row(label.replace("_", " "), mean=mean) for label, mean in means.items()]
    rows += [make_row("popularity", "control", mean=0.01), make_row("oracle", "ceiling", mean=0.5)]
    for row in rows:  # runs of one label differ by study
        row.records[:] = [
            type(one)(**{**vars(one), "id": f"{number}{one.id[1:]}"}) for one in row.records
        ]
    return Results(f"study {number}", rows, METRICS, "ndcg@20")


def test_ranks_means_and_runs(make_row: MakeRow) -> None:
    studies = [
        study(make_row, 1, sum=0.2, gated=0.3, tensor=0.25),
        study(make_row, 2, sum=0.2, gated=0.3, only_here=0.9, tensor=0.1),
    ]
    found = rank_studies(studies)
    assert found.labels == ["gated", "sum", "tensor", "popularity"]
    rows = {row[0].text: row for row in found.table.rows()}
    assert [rows[label][1].value for label in found.labels] == [1, 2.5, 2.5, 4]
    assert rows["gated"][3].value == pytest.approx(0.15)
    assert rows["tensor"][4].value == pytest.approx(0.05)
    assert len(found.table.sources["gated"]) == 6
    notes = " ".join(found.table.notes)
    assert "Not in every study: only here." in notes
    assert "oracle" not in notes
    assert "cannot tell any of 4 rows apart" in notes  # two studies are too few


def test_twelve_studies_tell_rows_apart_and_the_figure_shows_it(
    make_row: MakeRow, tmp_path: Path
) -> None:
    studies = [study(make_row, n, a=0.4, b=0.39 + 0.02 * (n % 2), c=0.1) for n in range(12)]
    found = rank_studies(studies)
    assert found.found.cliques == ((0, 1), (2, 3))
    assert "Not told apart: a to b; c to popularity." in found.table.notes[1]
    figure = critical_difference(found)
    axes = figure.axes[0]
    said = [text.get_text() for text in axes.texts]
    assert {"a 1.50", "b 1.50", "3.00 c", "4.00 popularity"} <= set(said)
    bars = [line for line in axes.lines if line.get_linewidth() == 2.2]
    assert [np.round(line.get_xdata(), 2).tolist() for line in bars] == [[1.44, 1.56], [2.94, 4.06]]
    figure.draw_without_rendering()
    for text in axes.texts:
        box = text.get_window_extent().extents
        assert box[0] >= 0
        assert box[2] <= SINGLE_WIDTH * figure.dpi
    files = save(figure, tmp_path / "cd")
    assert [file.suffix for file in files] == [".pdf", ".png"]


def test_wrong_input(make_row: MakeRow) -> None:
    one = study(make_row, 1, sum=0.2, gated=0.3)
    with pytest.raises(FusionlabError, match="found 'study 1' 2 times"):
        rank_studies([one, one])
    with pytest.raises(FusionlabError, match="found 1 with 3 rows"):
        rank_studies([one])
    with pytest.raises(FusionlabError, match="metric: found 'auc'"):
        rank_studies([one, study(make_row, 2, sum=0.2, gated=0.3)], metric="auc")
