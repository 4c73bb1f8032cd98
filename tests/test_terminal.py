"""Names in data are shown as they are, whatever a terminal's markup would make of them."""

import io

import pytest
from rich.console import Console

from fusionlab import terminal
from fusionlab.data.inspect import Coverage, Inspection, render
from fusionlab.fusion.checks import CheckResult
from fusionlab.reporting.list_card import list_card
from fusionlab.serving.explained_list import ExplainedList, ListedItem

ODD = ["[/v]", "[red]", "[bold]x[/bold]", ":car:"]


@pytest.fixture
def printed(monkeypatch):
    """What the terminal of the package shows."""
    out = io.StringIO()
    monkeypatch.setattr(terminal.console, "_file", out)
    return out


def inspection(name):
    cover = {name: Coverage(1, 1.0, 2, 1, "float32")}
    return Inspection(name, "f" * 64, 1, None, None, cover, 0, {}, {}, [])


def recommended(name):
    item = ListedItem(name, 1.0, 0.5, {name: 0.5})
    return ExplainedList("0" * 64, name, False, [item], {name: [0.5]})


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize(
    "shown",
    [
        lambda name: render(inspection(name)),
        lambda name: list_card(recommended(name)),
        lambda name: terminal.check_table([CheckResult(name, "mask", name)]),
    ],
    ids=["inspect", "list", "check"],
)
def test_a_name_is_shown_as_it_is(printed, shown, name):
    terminal.show(shown(name))
    assert printed.getvalue().count(name) >= 2


@pytest.mark.parametrize("name", ODD)
def test_a_bar_over_a_modality_bears_its_name(monkeypatch, name):
    out = io.StringIO()
    forced = Console(file=out, force_terminal=True, width=200, markup=False, emoji=False)
    monkeypatch.setattr(terminal, "console", forced)
    with terminal.encoding() as on_items:
        on_items(name, 1, 2)
    assert f"encoding {name}" in out.getvalue()
