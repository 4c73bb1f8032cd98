"""The table of the page is that of the report, and a row opens into its runs."""

import re

from explored import STUDY, Tags

from fusionlab.explorer.compare import figures_html, levels_of, row_html, table_html, table_of


def test_the_table_is_that_of_the_report(explorer):
    (board,) = explorer.boards
    tags = Tags(table_html(board, levels_of(board)))
    assert [one["data-row"] for one in tags.named("button") if "data-row" in one] == [
        "popularity",
        "concat",
        "mean_scores",
    ]
    table = table_of(board)
    for cells in table.rows():
        assert all(cell.text in tags.text for cell in table.shown(cells))
    assert STUDY["title"] in tags.text  # its markup is text
    assert all(one["aria-sort"] == "none" for one in tags.named("th") if one["scope"] == "col")


def test_levels_filter_rows_and_leave_their_tests(explorer):
    (board,) = explorer.boards
    whole, some = table_html(board, levels_of(board)), table_html(board, ["Decision level"])
    assert re.findall(r'data-row="(\w+)"', some) == ["mean_scores"]
    row = re.search(r"<tr><td[^>]*>Decision level.*?</tr>", whole)[0]
    assert row in some


def test_figures_of_what_was_measured(explorer):
    (board,) = explorer.boards
    html = figures_html(board, levels_of(board))
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == [
        "Quality against cost",
        "Robustness",
        "Learning speed",
    ]
    alts = [one["alt"] for one in Tags(html).named("img")]
    assert "concat" in alts[0]
    assert len(set(alts)) == 3
    assert "nothing was measured" in figures_html(board, [])


def test_a_row_opens_into_its_configuration_and_runs(explorer):
    (board,) = explorer.boards
    tags = Tags(row_html(board, "concat"))
    assert "modality_dropout: 0.3" in tags.text
    for record in board.row("concat").records:
        assert record.id[:12] in tags.text
    assert "dropout" in tags.text
