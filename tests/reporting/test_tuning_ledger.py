"""The ledger of tuning beside the results: counts in the quality table, times never."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml
from fake_runs import METRICS, MakeRow, stored

from fusionlab.errors import FusionlabError
from fusionlab.reporting.quality import quality_table
from fusionlab.reporting.render import to_csv, to_markdown
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import Results
from fusionlab.reporting.tuning import changes_text, told_of, tuned_yaml, tuning_table
from fusionlab.reporting.tuning_curves import PER_PAGE, tuning_curves
from fusionlab.reporting.why import why
from fusionlab.studies.record import Row
from fusionlab.studies.trials.records import Ledger, Outcome, Trial, TrialFolder

VALUES: list[tuple[Outcome, float | None]] = [
    ("complete", 0.2),
    ("diverged", None),
    ("pruned", 0.9),
    ("complete", 0.3),
    ("complete", 0.3),
]


def ledger(scale: float = 1.0) -> Ledger:
    trials = [
        Trial(
            number,
            "one",
            {} if number == 0 else {"training.learning_rate": 0.00312345, "fusion.rank": number},
            outcome,
            value,
            True,
            scale * (number + 1),
            scale * 100 * (number + 1),
            [],
        )
        for number, (outcome, value) in enumerate(VALUES)
    ]
    return Ledger("5ea7c4", trials, 1, "ndcg@20", 0, "tpe, median pruner")


@pytest.fixture
def rows(make_row: MakeRow) -> list[Row]:
    idle = replace(ledger(), trials=ledger().trials[:1], nothing_to_tune=True)
    return [
        replace(make_row("popularity", "control", mean=0.1), ledger=idle),
        replace(make_row("gated", level="feature"), ledger=ledger()),
        replace(make_row("product", level="feature", mean=0.21), ledger=ledger()),
    ]


def test_the_ledger_adds_up() -> None:
    found = ledger()
    assert found.best.number == 3  # complete, the highest, the first of equals: not the pruned one
    assert found.as_written == 0.2
    assert (found.seconds, found.peak_memory_mb) == (15.0, 500.0)
    assert [found.count(one) for one in ("complete", "pruned", "diverged")] == [3, 1, 1]
    assert found.course == [(1.0, 0.2), (3.0, 0.2), (6.0, 0.2), (10.0, 0.3), (15.0, 0.3)]


@pytest.mark.parametrize(
    "change",
    [
        {"value": "0.2"},
        {"value": None},
        {"value": float("nan")},
        {"seconds": -1.0},
        {"outcome": "lost"},
        {"changes": []},
    ],
)
def test_a_trial_of_another_kind_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    trial = asdict(ledger().trials[0]) | change
    with pytest.raises(ValueError, match=next(iter(change))):
        Ledger.from_json(asdict(ledger()) | {"trials": [trial]})
    (tmp_path / "0000").mkdir()
    (tmp_path / "0000" / "trial.json").write_text(json.dumps(trial))
    with pytest.raises(FusionlabError, match="not the record of a trial"):
        TrialFolder(tmp_path).first()


def test_the_table_tells_of_each_row_what_was_tried_and_found(rows: list[Row]) -> None:
    table = tuning_table(rows)
    lines = to_markdown(table).splitlines()
    (line,) = [line for line in lines if line.startswith("| gated")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells == [
        *("gated", "5", "1", "1", "15.0", "500", ".2000", ".3000", "4"),
        r"learning\_rate=0.00312, rank=3",
    ]
    assert any("popularity" in line and "Nothing to tune" in line for line in lines)
    assert "`5ea7c4`" in to_markdown(table)


def test_the_quality_table_has_counts_and_neither_seconds_nor_memory(rows: list[Row]) -> None:
    def told(of: list[Row]) -> str:
        table = quality_table(of, metrics=METRICS, main="ndcg@20")
        return to_markdown(table) + to_csv(table)

    slower = [replace(row, ledger=row.ledger and ledger(7.0)) for row in rows[1:]]
    assert told([rows[0], *slower]) == told(rows)
    assert "Every row was tuned by 5 trials (tpe, median pruner) on validation alone" in told(rows)
    untuned = [replace(row, ledger=None) for row in rows]
    assert "trials" not in told(untuned)


def test_reports_have_the_ledger_where_rows_were_tuned(rows: list[Row], tmp_path: Path) -> None:
    results = Results("T", rows, METRICS, "ndcg@20")
    names = {file.name for file in write_report(results, tmp_path / "r").files}
    assert {"tuning.md", "tuning.csv", "tuning.tex", "tuning_curves.pdf"} <= names
    assert "tuning_curves.png" in names
    again = Results.read(tmp_path / "r", stored(rows))
    assert [row.ledger for row in again.rows] == [row.ledger for row in rows]


def test_cells_of_a_ledger_say_where_they_come_from(rows: list[Row]) -> None:
    tables = Results("T", rows, METRICS, "ndcg@20").tables()
    for name, column in (("tuning", "pruned"), ("quality", "trials")):
        told = why(name, tables[name], rows, "gated", column)
        assert "the row's search" in told.notes[0]


def test_curves_show_each_trial_and_the_best_so_far(rows: list[Row]) -> None:
    (figure,) = tuning_curves(rows)
    assert [axes.get_title("left") for axes in figure.axes] == ["gated", "product"]
    axes = figure.axes[0]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in marks] == [1.0, 3.0, 6.0, 10.0, 15.0]
    faces = [line.get_markerfacecolor() for line in marks]
    assert [face == "none" for face in faces] == [False, False, True, False, False]
    (step,) = [line for line in axes.lines if len(line.get_xdata()) == 5]
    assert list(step.get_ydata()) == [0.2, 0.2, 0.2, 0.3, 0.3]
    many = [replace(rows[1], label=f"row {k}") for k in range(PER_PAGE + 1)]
    assert len(tuning_curves(many)) == 2
    assert tuning_curves([replace(row, ledger=None) for row in rows]) == []


def test_the_best_options_are_yaml_that_extends_the_experiment() -> None:
    found = ledger()
    changes = found.best.changes
    text = "\n".join([*told_of(found), tuned_yaml(changes)])
    assert yaml.safe_load(text) == {
        "training": {"learning_rate": 0.00312345},
        "fusion": {"rank": 3},
    }
    assert text.startswith(
        "# 5 trials (3 complete, 1 pruned, 1 diverged; tpe, median pruner), 15.0 s"
    )
    assert ".3000 in trial 4; as written .2000" in text
    whole = tuned_yaml(changes, Path("a/x.yaml"), Path("a/b/y.yaml"), {"dim": 8})
    assert yaml.safe_load(whole)["base"] == "../x.yaml"
    assert yaml.safe_load(whole)["dim"] == 8
    assert changes_text({}) == "as written"
