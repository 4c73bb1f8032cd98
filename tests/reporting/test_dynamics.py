"""Figures of signals: means over seeds, a panel a row, and what the model was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_runs import METRICS, MakeRow
from matplotlib.figure import Figure

from fusionlab.reporting.courses import courses, did
from fusionlab.reporting.dynamics import ACROSS, PER_PAGE, learning_speed, weights_over_time
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import Results
from fusionlab.studies.record import Row
from fusionlab.terminal import last_signals

NAMES = ("clip.v2", "image")


def history(epochs: int, shift: float, told: str = "weight") -> list[dict[str, float]]:
    entries = []
    for epoch in range(1, epochs + 1):
        entry = {"epoch": float(epoch), "loss": 1.0, "ndcg@20": 0.1}
        for k, name in enumerate(NAMES):
            entry |= {f"loss.{name}": (k + 1) / epoch + shift, f"{told}.{name}": k + shift}
            entry |= {f"speed.{name}": 0.1} if epoch > 1 else {}
        entries.append(entry | {f"{told}.joint": 1.0, "loss.clip.v2+image": 0.0})
    return entries


@pytest.fixture
def told(make_row: MakeRow) -> MakeRow:
    def make(label: str, epochs: tuple[int, ...] = (4, 6, 5), **options: object) -> Row:
        row = make_row(label, **options)
        records = [
            replace(record, history=history(n, shift), dataset={"features": dict.fromkeys(NAMES)})
            for record, n, shift in zip(row.records, epochs, (-0.1, 0.0, 0.1), strict=True)
        ]
        return replace(row, records=records)

    return make


def words(figure: Figure) -> str:
    texts = [text for axes in figure.axes for text in (*axes.texts, axes.title, axes._left_title)]
    return "\n".join(text.get_text() for text in (*texts, *figure.texts)) + figure.get_supxlabel()


def test_a_course_is_the_mean_over_seeds_as_far_as_all_went(told: MakeRow) -> None:
    found = courses(told("sum"))
    assert list(found) == ["loss", "weight", "speed"]
    loss = found["loss"]["image"]
    assert loss.epochs.tolist() == [1, 2, 3, 4]
    assert loss.mean == pytest.approx(2 / loss.epochs)
    assert loss.spread == pytest.approx(np.full(4, 0.1))
    assert found["speed"]["clip.v2"].epochs.tolist() == [2, 3, 4]
    assert did(told("other")).keys() == {"weight"}
    assert list(did(told("third"))["weight"]) == ["clip.v2", "image", "joint"]


def test_lines_and_words_of_a_panel(told: MakeRow, make_row: MakeRow) -> None:
    rows = [make_row("popularity", "control"), told("a $x$"), told("b", coalitions="dropout")]
    (figure,) = learning_speed(rows)
    assert len(figure.axes) == 4  # of two rows a loss and a speed
    line = figure.axes[0].lines[1]
    assert line.get_ydata() == pytest.approx(2 / np.arange(1, 5))
    assert figure.axes[1].lines[1].get_ydata() == pytest.approx([10, 10, 10])
    said = words(figure)
    assert {"a $x$", "b", "coalitions: none", "coalitions: dropout"} <= set(said.split("\n"))
    assert "never saw a subset" in said.replace("\n", " ")
    (trained,) = learning_speed(rows[2:])
    assert "never saw" not in words(trained).replace("\n", " ")
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()
    (weights,) = weights_over_time(rows)
    assert len(weights.axes) == 2
    same = [panel.lines[1].get_color() for panel in (figure.axes[0], weights.axes[0])]
    assert same[0] == same[1] != weights.axes[0].lines[0].get_color()


@pytest.mark.slow
def test_many_rows_go_to_several_pages(told: MakeRow, tmp_path: Path) -> None:
    rows = [told(f"row {k}") for k in range(PER_PAGE + 1)]
    assert [len(page.axes) for page in learning_speed(rows)] == [14, 12]
    files = write_report(Results("Many", rows, METRICS, "ndcg@20"), tmp_path / "r").files
    names = {path.name for path in files}
    assert {"learning_speed_1.pdf", "learning_speed_2.png", "weights_over_time_2.pdf"} <= names
    assert ACROSS <= PER_PAGE


def test_runs_without_signals_have_no_page(paper: list[Row]) -> None:
    assert learning_speed(paper) == []
    assert weights_over_time(paper) == []


@pytest.mark.parametrize(("trained", "warned"), [("none", True), ("dropout", False)])
def test_the_last_signals_of_a_run_are_told(told: MakeRow, trained: str, warned: bool) -> None:
    text = "\n".join(last_signals(told("sum", coalitions=trained).records[1]))
    assert "clip.v2 alone: loss 0.167, speed 0.1\n" in text
    assert f"coalitions trained: {trained}" in text
    assert ("mislead" in text) == warned
