"""A table as Markdown, CSV, LaTeX, HTML or for the terminal."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable

import polars as pl
from great_tables import GT
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from fusionlab.reporting.table import Cell, Emphasis, Table

RUN_DIGITS = 12
"""How much of a run id is printed."""

_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_[]|~$#"}
    | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": " ", "\r": " "}
)
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "%&$#_{}"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "±": r"$\pm$",
        "–": "--",
        "\n": " ",
        "\r": " ",
    }
)


def to_markdown(table: Table) -> str:
    """A pipe table with group headings, the notes, and the runs behind each row folded away."""
    columns = [column for column in table.columns if column.shown]
    lines = [
        f"### {_markdown(table.title)}",
        "",
        _pipes([_markdown(column.heading) for column in columns]),
        _pipes([":---" if column.kind == "text" else "---:" for column in columns]),
    ]
    for group in table.groups:
        lines.append(_pipes([f"*{_markdown(group.name)}*", *[""] * (len(columns) - 1)]))
        lines += [_pipes([_markdown_cell(cell) for cell in table.shown(row)]) for row in group.rows]
    for note in table.notes:
        lines += ["", _markdown(note)]
    if table.sources:
        lines += ["", "<details><summary>Runs</summary>", ""]
        for label, runs in table.sources.items():
            lines.append(f"- {_markdown(label)}: {', '.join(f'`{run}`' for run in _short(runs))}")
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN)


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    # GitHub shows <ins> underlined and drops <u>.
    before, after = {
        Emphasis.NONE: ("", ""),
        Emphasis.BEST: ("**", "**"),
        Emphasis.SECOND: ("<ins>", "</ins>"),
    }[cell.emphasis]
    return f"{before}{_markdown(cell.text)}{after}"


def _short(runs: list[str]) -> list[str]:
    return [run[:RUN_DIGITS] for run in runs]


def to_csv(table: Table) -> str:
    """Every column, figures in full precision, with the group and the runs of each row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["group", *[column.name for column in table.columns], "runs"])
    for group in table.groups:
        for row in group.rows:
            values = [cell.text if cell.value is None else repr(cell.value) for cell in row]
            runs = _short(table.sources.get(row[0].text, []))
            writer.writerow([group.name, *values, " ".join(runs)])
    return out.getvalue()


def to_latex(table: Table) -> str:
    r"""A ``table`` with booktabs rules; it needs the packages booktabs and caption.

    Great Tables lays it out and escapes title, headings and notes. Its styles do not reach LaTeX,
    so cells are escaped and set in ``\textbf`` or ``\underline`` here and passed through as they
    are. The runs behind each row follow as comments.
    """
    layout = _layout(table, _latex_cell).tab_options(table_font_size="8pt")
    runs = [
        f"% {' '.join(label.split())}: {' '.join(_short(ids))}"
        for label, ids in table.sources.items()
    ]
    lines = [r"% \usepackage{booktabs, caption}", layout.as_latex().strip()]
    return "\n".join([*lines, *(["% runs", *runs] if runs else [])]) + "\n"


def _latex_cell(cell: Cell, _runs: list[str]) -> str:
    text = cell.text.translate(_LATEX)
    template = {
        Emphasis.NONE: "{}",
        Emphasis.BEST: r"\textbf{{{}}}",
        Emphasis.SECOND: r"\underline{{{}}}",
    }[cell.emphasis]
    return template.format(text)


def to_html(table: Table) -> str:
    """A page of its own that needs nothing else; a cell tells its runs where the mouse rests.

    Great Tables lays it out and escapes title, headings and notes; cells are escaped and marked
    here.
    """
    page = _layout(table, _html_cell, id="fusionlab").as_raw_html(make_page=True)
    return "\n".join(line.rstrip() for line in page.splitlines()) + "\n"


def _html_cell(cell: Cell, runs: list[str]) -> str:
    before, after = {
        Emphasis.NONE: ("", ""),
        Emphasis.BEST: ("<strong>", "</strong>"),
        Emphasis.SECOND: ("<u>", "</u>"),
    }[cell.emphasis]
    text = f"{before}{html.escape(cell.text)}{after}"
    return f'<span title="runs {" ".join(runs)}">{text}</span>' if runs and cell.text else text


def _layout(table: Table, cell_text: Callable[[Cell, list[str]], str], id: str | None = None) -> GT:
    """Groups, headings and notes; every shown cell as ``cell_text`` writes it, given its runs."""
    shown = [column for column in table.columns if column.shown]
    names = [f"c{i}" for i in range(len(shown))]
    cells: dict[str, list[str]] = {name: [] for name in names}
    groups: list[str] = []
    for group in table.groups:
        for row in group.rows:
            groups.append(group.name)
            runs = _short(table.sources.get(row[0].text, []))
            for name, cell in zip(names, table.shown(row), strict=True):
                cells[name].append(cell_text(cell, runs))
    numbers = [name for name, column in zip(names, shown, strict=True) if column.kind == "number"]
    layout = (
        GT(pl.DataFrame({"group": groups, **cells}), groupname_col="group", id=id)
        .tab_header(title=table.title)
        .cols_label({name: column.heading for name, column in zip(names, shown, strict=True)})
        .fmt_passthrough(names, escape=False)
        .cols_align("left", [name for name in names if name not in numbers])
        .cols_align("right", numbers)
    )
    for note in table.notes:
        layout = layout.tab_source_note(note)
    return layout


def to_terminal(table: Table) -> RichTable:
    """A rich table; long cells wrap between words where the terminal is narrow."""
    out = RichTable(
        title=Text(table.title),
        caption=Text("\n".join(table.notes)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    columns = [column for column in table.columns if column.shown]
    body = [table.shown(row) for row in table.rows()]
    for i, column in enumerate(columns):
        words = [word for row in body for word in row[i].text.split()]
        out.add_column(
            Text(column.heading),
            justify="left" if column.kind == "text" else "right",
            min_width=max((len(word) for word in [*words, *column.heading.split()]), default=1),
        )
    for group in table.groups:
        out.add_row(Text(group.name, style="italic"))
        for row in group.rows:
            out.add_row(*[_terminal_cell(cell) for cell in table.shown(row)])
        out.add_section()
    return out


def _terminal_cell(cell: Cell) -> Text:
    style = {Emphasis.NONE: "", Emphasis.BEST: "bold", Emphasis.SECOND: "underline"}
    return Text(cell.text, style=style[cell.emphasis])
