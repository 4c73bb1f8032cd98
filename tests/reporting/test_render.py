from __future__ import annotations

import csv
import io
import re

import pytest
from fake_runs import METRICS, MakeRow
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from fusionlab.reporting.cost import cost_table
from fusionlab.reporting.quality import quality_table
from fusionlab.reporting.render import to_csv, to_html, to_latex, to_markdown, to_terminal
from fusionlab.reporting.table import Cell, Column, Emphasis, Group, Table
from fusionlab.studies.record import Row

NASTY = r"a_b 5% & #1 $x$ {y} \z ~ ^ |p| *s* `c` <u> [l](m)"
UNESCAPED = re.compile(r"(?<!\\)[&%#_$]")


def small(label: str = "gated", note: str = "A note.") -> Table:
    return Table(
        title="T_1",
        columns=[Column("row", "text"), Column("hidden", shown=False), Column("m_1", header="m")],
        groups=[
            Group("Controls", [[Cell("ids"), Cell("x"), Cell(".1", 0.1)]]),
            Group(
                "Feature level",
                [
                    [Cell(label), Cell("y"), Cell(".3", 0.30000000000000004, Emphasis.BEST)],
                    [Cell("late"), Cell("z"), Cell(".2", 0.2, Emphasis.SECOND)],
                ],
            ),
        ],
        notes=[note],
        sources={label: ["0123456789abcdef"]},
    )


def test_markdown() -> None:
    assert to_markdown(small()) == (
        "### T\\_1\n\n"
        "| row | m |\n"
        "| :--- | ---: |\n"
        "| *Controls* |  |\n"
        "| ids | .1 |\n"
        "| *Feature level* |  |\n"
        "| gated | **.3** |\n"
        "| late | <ins>.2</ins> |\n\n"
        "A note.\n\n"
        "<details><summary>Runs</summary>\n\n"
        "- gated: `0123456789ab`\n\n"
        "</details>\n"
    )


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1))
def test_markdown_shows_a_label_as_it_is(label: str) -> None:
    label = f"x{label}x"
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(small(label)))
    cells = [
        "".join(child.content for child in tokens[i + 1].children or [])
        for i, token in enumerate(tokens)
        if token.type == "td_open"
    ]
    assert cells[6] == label


def test_csv_has_all_columns_and_full_precision() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(small(NASTY)))))
    assert rows == [
        ["group", "row", "hidden", "m_1", "runs"],
        ["Controls", "ids", "x", "0.1", ""],
        ["Feature level", NASTY, "y", "0.30000000000000004", "0123456789ab"],
        ["Feature level", "late", "z", "0.2", ""],
    ]


def test_latex_structure() -> None:
    text = to_latex(small())
    assert text.count(r"\begin{") == text.count(r"\end{")
    begun = re.findall(r"\\begin\{([^}]*)\}", text)
    ended = re.findall(r"\\end\{([^}]*)\}", text)
    assert sorted(begun) == sorted(ended)
    order = [text.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")]
    assert order == sorted(order)
    assert r"gated & \textbf{.3} \\" in text
    assert r"late & \underline{.2} \\" in text
    assert r"\multicolumn{2}{l}{Feature level}" in text
    assert "hidden" not in text
    assert "% gated: 0123456789ab\n" in text


def test_latex_escapes_what_users_write() -> None:
    text = to_latex(small(NASTY, NASTY))
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    (line,) = [line for line in body.splitlines() if line.startswith("a")]
    label, separator, _ = line.partition(r" & \textbf")
    assert separator
    assert not UNESCAPED.search(label)
    assert r"5\% \& \#1 \$x\$ \{y\} \textbackslash{}z" in label
    notes = text[text.index(r"\begin{minipage}") : text.index(r"\end{minipage}")]
    assert r"a\_b 5\% \& \#1" in notes
    assert r"T\_1" in text
    # A line break in a label must not end the comment that names its runs.
    assert "% a b: 0123456789ab\n" in to_latex(small("a\nb"))


def test_both_tables_fit_the_terminal(paper: list[Row]) -> None:
    for table in (
        quality_table(paper, metrics=METRICS, main="ndcg@20"),
        cost_table(paper),
        small(NASTY),
    ):
        out = io.StringIO()
        Console(width=100, file=out, color_system=None).print(to_terminal(table))
        text = out.getvalue()
        assert max(map(len, text.splitlines())) <= 100
        assert "…" not in text
        for row in table.rows():
            for cell in table.shown(row):
                assert all(word in text for word in cell.text.split())


def test_rich_markup_in_labels_is_text(make_row: MakeRow) -> None:
    out = io.StringIO()
    Console(width=100, file=out, color_system=None).print(to_terminal(small("[bold]x[/bold]")))
    assert "[bold]x[/bold]" in out.getvalue()


@pytest.mark.parametrize("emphasis", list(Emphasis))
def test_every_emphasis_has_a_look(emphasis: Emphasis) -> None:
    table = Table("t", [Column("row", "text")], [Group("g", [[Cell("x", None, emphasis)]])])
    for render in (to_markdown, to_latex, to_csv, to_html):
        assert "x" in render(table)


def test_html_escapes_what_users_write_and_names_the_runs() -> None:
    page = to_html(small("<b>x</b> & y", "<i>note</i>"))
    assert '<span title="runs 0123456789ab">&lt;b&gt;x&lt;/b&gt; &amp; y</span>' in page
    assert '<span title="runs 0123456789ab"><strong>.3</strong></span>' in page
    assert "<u>.2</u>" in page
    assert "<i>note</i>" not in page
    assert "hidden" not in page[page.index("<table") :]
    assert page == to_html(small("<b>x</b> & y", "<i>note</i>"))
