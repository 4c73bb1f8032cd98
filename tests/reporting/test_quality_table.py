from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from fake_runs import METRICS, MakeRow

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.significance import holm, paired_permutation
from fusionlab.reporting.quality import quality_table
from fusionlab.reporting.render import to_csv, to_latex, to_markdown
from fusionlab.reporting.scores import read_scores
from fusionlab.reporting.table import Cell, Emphasis, Table, decimal, probability
from fusionlab.studies.record import Row


def table_of(rows: list[Row], **options: object) -> Table:
    return quality_table(rows, **{"metrics": METRICS, "main": "ndcg@20", **options})


def cells(table: Table, column: str) -> dict[str, Cell]:
    at = [found.name for found in table.columns].index(column)
    return {row[0].text: row[at] for row in table.rows()}


def note(table: Table, part: str) -> str:
    found = [text for text in table.notes if part in text]
    assert len(found) == 1, table.notes
    return found[0]


def test_groups_in_order(paper: list[Row]) -> None:
    table = table_of(paper[::-1])
    assert [group.name for group in table.groups] == [
        "Controls",
        "Model level",
        "Decision level",
        "Feature level",
        "Ceilings",
    ]
    assert [len(group.rows) for group in table.groups] == [5, 3, 2, 3, 2]


def test_figures_in_full_precision_and_as_text(paper: list[Row]) -> None:
    table = table_of(paper)
    score = read_scores(paper, METRICS, "test")["gated"]["recall@20"]
    assert score.interval is not None
    low, high = score.interval
    assert cells(table, "recall@20")["gated"].value == score.mean
    assert cells(table, "recall@20")["gated"].text == f".2050 ±{decimal((high - low) / 2)}"
    assert cells(table, "recall@20 low")["gated"].value == low
    assert cells(table, "recall@20 high")["gated"].value == high
    assert cells(table, "recall@20 sd")["gated"].value == pytest.approx(0.01)
    assert cells(table, "recall@20 sd")["oracle"].text == ""


def test_the_strongest_control_is_chosen_on_validation(make_row: MakeRow) -> None:
    rows = [
        make_row("flatters on test", "control", mean=0.19, valid=0.1),
        make_row("strong on validation", "control", mean=0.15, valid=0.18),
        make_row("gated", mean=0.17),
    ]
    table = table_of(rows)
    assert "against strong on validation (the strongest control" in note(table, "Tested")
    assert cells(table, "difference")["gated"].value == pytest.approx(0.01)
    table = table_of(rows, reference="flatters on test")
    assert "against flatters on test (chosen by name)" in note(table, "Tested")
    assert cells(table, "difference")["gated"].value == pytest.approx(-0.01)


def test_p_values_are_those_of_the_evaluation(paper: list[Row]) -> None:
    table = table_of(paper)
    scores = read_scores(paper, METRICS, "test")
    control = scores["best single modality (image)"]["ndcg@20"].users
    strategies = [row.label for row in paper if row.kind == "strategy"]
    raw = [paired_permutation(scores[label]["ndcg@20"].users, control) for label in strategies]
    found = cells(table, "p (Holm)")
    assert [found[label].value for label in strategies] == holm(raw)
    assert [cells(table, "p")[label].value for label in strategies] == raw
    assert found["popularity"].text == found["oracle"].text == ""


def test_a_strategy_says_in_its_row_that_it_does_not_beat_the_control(
    make_row: MakeRow,
) -> None:
    table = table_of(
        [
            make_row("IDs only", "control", mean=0.2),
            make_row("better", mean=0.26),
            make_row("same", mean=0.2002),
            make_row("worse", mean=0.14),
        ]
    )
    symbols = {label: cell.text[:1] for label, cell in cells(table, "p (Holm)").items()}
    assert symbols == {"IDs only": "", "better": "+", "same": "=", "worse": "-"}


def test_a_reference_strategy_is_not_tested_against_itself(make_row: MakeRow) -> None:
    rows = [make_row("IDs only", "control", mean=0.1), make_row("sum"), make_row("gated")]
    found = cells(table_of(rows, reference="sum"), "p (Holm)")
    assert found["sum"].text == ""
    assert found["gated"].value is not None


def test_without_controls_nothing_is_tested(make_row: MakeRow) -> None:
    table = table_of([make_row("sum"), make_row("gated")])
    assert "p (Holm)" not in [column.name for column in table.columns]
    assert note(table, "No control")


def test_only_strategies_compete(make_row: MakeRow) -> None:
    rows = [
        make_row("IDs only", "control", mean=0.4),
        make_row("sum", mean=0.1),
        make_row("gated", mean=0.3),
        make_row("late", mean=0.2),
        make_row("oracle", "ceiling", mean=0.5),
    ]
    table = table_of(rows)
    for metric in METRICS:
        marks = {label: cell.emphasis for label, cell in cells(table, metric).items()}
        assert marks == {
            "IDs only": Emphasis.NONE,
            "sum": Emphasis.NONE,
            "gated": Emphasis.BEST,
            "late": Emphasis.SECOND,
            "oracle": Emphasis.NONE,
        }
    said = note(table, "No strategy is above")
    assert "IDs only" in said
    assert ".2000" in said
    assert "gated" in said


def test_nobody_wins_alone(make_row: MakeRow) -> None:
    table = table_of([make_row("IDs only", "control", mean=0.1), make_row("gated")])
    assert {cell.emphasis for row in table.rows() for cell in row} == {Emphasis.NONE}


def test_missing_seeds_are_flagged(make_row: MakeRow) -> None:
    rows = [
        make_row("IDs only", "control", mean=0.1),
        make_row("gated"),
        make_row("late", seeds=(0.0, 0.01)),
        make_row("oracle", "ceiling", mean=0.3, seeds=(0.0,)),
    ]
    table = table_of(rows)
    texts = {label: cell.text for label, cell in cells(table, "seeds").items()}
    assert texts == {"IDs only": "3", "gated": "3", "late": "2/3", "oracle": "1"}
    assert note(table, "Incomplete") == "Incomplete: late has 2 of 3 seeds."


def test_gain_between_floor_and_ceiling(paper: list[Row]) -> None:
    gains = {label: cell.value for label, cell in cells(table_of(paper), "gain").items()}
    assert gains["popularity"] == 0
    assert gains["achievable, all atoms"] == 1
    assert gains["gated"] == pytest.approx((0.205 - 0.05) / (0.25 - 0.05))
    gains = {
        label: cell.value
        for label, cell in cells(table_of(paper, floor="random", ceiling="oracle"), "gain").items()
    }
    assert gains["gated"] == pytest.approx((0.205 - 0.01) / (0.3 - 0.01))


def test_no_ceiling_no_gain(paper: list[Row]) -> None:
    table = table_of([row for row in paper if row.kind != "ceiling"])
    assert "gain" not in [column.name for column in table.columns]


def test_coalition_training_is_noted(make_row: MakeRow) -> None:
    rows = [
        make_row("IDs only", "control", mean=0.1),
        make_row("sum", coalitions="dropout"),
        make_row("gated", coalitions="dropout"),
        make_row("late"),
    ]
    assert "dropout (sum, gated)" in note(table_of(rows), "subsets of the modalities")
    assert not any("subsets" in text for text in table_of([rows[0], rows[3]]).notes)


def test_wrong_arguments_are_named(paper: list[Row]) -> None:
    for options, message in [
        ({"main": "ndgc@20"}, "main: found 'ndgc@20'.*did you mean 'ndcg@20'"),
        ({"reference": "popularty"}, "reference: .*did you mean 'popularity'"),
        ({"reference": "oracle"}, "reference: found 'oracle'"),
        ({"ceiling": "orcale"}, "ceiling: .*did you mean 'oracle'"),
        ({"floor": "oracle", "ceiling": "popularity"}, "expected it above the floor"),
        ({"metrics": ["coverage@20"], "main": "coverage@20"}, "the test is over users"),
    ]:
        with pytest.raises(FusionlabError, match=message):
            table_of(paper, **options)


def test_neither_cost_nor_machine_changes_a_byte(paper: list[Row]) -> None:
    def elsewhere(row: Row) -> Row:
        records = [
            replace(
                record,
                cost=replace(record.cost, seconds=9e9, peak_memory_mb=9e9),
                environment={"machine": "another"},
            )
            for record in row.records
        ]
        return replace(row, records=records)

    first, second = table_of(paper), table_of([elsewhere(row) for row in paper])
    for render in (to_markdown, to_csv, to_latex):
        assert render(first).encode() == render(second).encode()


def test_every_row_names_its_runs(paper: list[Row]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(table_of(paper)))))
    runs = {row["row"]: row["runs"].split() for row in rows}
    assert runs == {row.label: [record.id[:12] for record in row.records] for row in paper}


def test_numbers_as_text() -> None:
    assert [decimal(value) for value in (0.12345, 1.0, -0.0012, 0.0, -0.00001, 12.5)] == [
        ".1235",
        "1.0000",
        "-.0012",
        ".0000",
        ".0000",
        "12.5000",
    ]
    assert [probability(value) for value in (0.0001, 0.0123, 1.0)] == ["<.001", ".012", "1.000"]
