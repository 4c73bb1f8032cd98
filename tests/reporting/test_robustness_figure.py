"""The figure of curves over what is missing and over noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fake_runs import METRICS, MakeRow
from matplotlib.figure import Figure

from fusionlab.errors import FusionlabError
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import Results
from fusionlab.reporting.robustness import curves_in, robustness
from fusionlab.reporting.style import save
from fusionlab.studies.record import Row

POINTS = {"at 0% missing": 1.0, "at 50% missing": 0.8, "at 100% missing": 0.4, "missing area": 0.75}
NOISY = {"at noise 0": 1.0, "at noise 0.5": 0.7, "noise area": 0.85}


def with_curves(row: Row, points: dict[str, float]) -> Row:
    """The row as if it had been judged there: ndcg@20 times the numbers."""
    records = []
    for record in row.records:
        assert record.folder is not None
        file, metrics = record.folder / "per_user.parquet", record.metrics
        users = pl.read_parquet(file)
        for point, share in points.items():
            name = f"ndcg@20 {point}"
            users = users.with_columns((pl.col("ndcg@20") * share).alias(name))
            metrics = {s: m | {name: m["ndcg@20"] * share} for s, m in metrics.items()}
        users.write_parquet(file)
        records.append(replace(record, metrics=metrics))
    return replace(row, records=records)


def lines_of(figure: Figure, panel: int) -> list[tuple[list[float], list[float]]]:
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in figure.axes[panel].lines
    ]


def names_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_line_a_row_and_a_panel_a_kind_of_harm(make_row: MakeRow) -> None:
    rows = [
        with_curves(make_row("sum", mean=0.2), POINTS | NOISY),
        with_curves(make_row("popularity", "control", mean=0.4), POINTS | NOISY),
    ]
    figure = robustness(rows, "ndcg@20")
    assert len(figure.axes) == 2
    for panel, x, heights in ((0, [0, 50, 100], [1, 0.8, 0.4]), (1, [0, 0.5], [1, 0.7])):
        found = lines_of(figure, panel)
        assert [line[0] for line in found] == [x, x]
        for (_, y), mean in zip(found, (0.1, 0.2), strict=True):  # the best is drawn last
            assert y == pytest.approx([mean * height for height in heights])
    assert [len(axes.collections) for axes in figure.axes] == [1, 1]  # controls have no band
    assert names_of(figure) == [".150  popularity", ".075  sum"]


def test_only_what_was_measured_everywhere_is_drawn(make_row: MakeRow) -> None:
    whole = with_curves(make_row("sum"), POINTS | NOISY)
    less = with_curves(make_row("mean"), {k: v for k, v in POINTS.items() if "50" not in k})
    found = curves_in([whole, less], "ndcg@20 missing area")
    assert found == {
        "missing": [(0.0, "ndcg@20 at 0% missing"), (100.0, "ndcg@20 at 100% missing")]
    }
    assert curves_in([whole, make_row("max")], "ndcg@20") == {}
    with pytest.raises(FusionlabError, match=r"robustness: found no curve of 'ndcg@20'"):
        robustness([make_row("max", seeds=(0.0,))], "ndcg@20")


def test_fifteen_rows_are_told_apart(make_row: MakeRow) -> None:
    levels = ("feature", "decision", "model")
    rows = [
        with_curves(make_row(f"$a_{place}", level=levels[place % 3]), POINTS) for place in range(15)
    ]
    figure = robustness(rows, "ndcg@20")
    figure.draw_without_rendering()
    looks = {
        (line.get_color(), line.get_linestyle(), str(line._dash_pattern))
        for line in figure.axes[0].lines
    }
    assert len(looks) == 15
    texts = [text.get_window_extent() for text in figure.legends[0].get_texts()]
    assert all(one.y0 >= other.y1 - 1 for one, other in pairwise(texts))
    assert texts[-1].y0 >= 0
    assert max(text.x1 for text in texts) <= figure.bbox.width


def test_ceilings_do_not_squeeze_the_others(make_row: MakeRow) -> None:
    rows = [
        with_curves(make_row("sum", mean=0.2), POINTS),
        with_curves(make_row("oracle", "ceiling", mean=9.0), POINTS),
    ]
    assert robustness(rows, "ndcg@20").axes[0].get_ylim()[1] < 0.2


def test_it_is_part_of_the_report_and_repeats_its_bytes(make_row: MakeRow, tmp_path: Path) -> None:
    rows = [with_curves(make_row(name), POINTS | NOISY) for name in ("sum", "mean")]
    files = write_report(Results("T", rows, METRICS, "ndcg@20"), tmp_path / "r").files
    kept = {file.suffix: file for file in files if file.stem == "robustness"}
    assert set(kept) == {".pdf", ".png"}
    for file in save(robustness(rows, "ndcg@20"), tmp_path / "again"):
        assert file.read_bytes() == kept[file.suffix].read_bytes()
