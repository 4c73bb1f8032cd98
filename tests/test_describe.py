"""What `fusionlab show` says of every fusion strategy, and that it prints it as it is written."""

import inspect
import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from rich.console import Console

from fusionlab import terminal
from fusionlab.cli import main
from fusionlab.fusion.contract import FUSIONS, NOTATION
from fusionlab.plugins import is_own

NARROW = 40


def paragraphs(name):
    return inspect.getdoc(FUSIONS[name]).split("\n\n")


def paragraph(name, title):
    """The one paragraph of a docstring that begins with a title."""
    (found,) = [one for one in paragraphs(name) if one.startswith(f"{title}: ")]
    return found


def costs(text):
    """What stands inside each O(...) of a text, inner parentheses included."""
    found = []
    for start in re.finditer(r"\bO\(", text):
        depth, end = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        found.append(text[start.end() : end - 1])
    return found


def defined(letter, text):
    return re.search(rf"\b{letter}(, (the|of|how) | = | train items)", text)


@pytest.mark.parametrize("name", FUSIONS.names())
def test_every_strategy_states_formula_cost_and_source(name):
    before, _, _ = "\n\n".join(paragraphs(name)).partition("Complexity: ")
    assert re.search(r"[\w)] = \S", before), "no formula"
    assert re.search(r"\b(19|20)\d\d\b", paragraph(name, "Source")), "no year of a source"
    assert costs(paragraph(name, "Complexity"))


@pytest.mark.parametrize("name", FUSIONS.names())
def test_every_letter_of_a_cost_is_defined(name):
    text = inspect.getdoc(FUSIONS[name])
    cost = paragraph(name, "Complexity")
    capitals = set(re.findall(r"\b[A-Z](?:_[a-z])?\b", cost)) - {"O"}
    others = set(re.findall(r"\b[a-z](?:_[a-z])?\b", " ".join(costs(cost)))) - {"m"}
    unknown = {s for s in capitals | others if s not in NOTATION and not defined(s, text)}
    assert not unknown
    options = set(re.findall(r"^    \w+: ([A-Z])(?:,| of)", text, re.MULTILINE))
    assert not options & NOTATION.keys(), "a letter that all share means something else here"


@pytest.mark.parametrize("name", FUSIONS.names())
def test_every_strategy_says_what_reading_the_tokens_costs(name):
    """All read every value (T_m d_m) and project it to some width: before pooling, or after."""
    first = costs(paragraph(name, "Complexity"))[0]
    after = re.match(r"sum_m \(T_m \+ [^)]*[DHw][^)]*\) d_m\b", first)
    before = first.startswith("D sum_m T_m d_m")
    level = FUSIONS[name].level
    assert after or (before and level == "model")


@pytest.mark.parametrize("is_terminal", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("name", FUSIONS.names())
def test_show_prints_each_line_as_it_is_written(name, is_terminal, monkeypatch):
    console = Console(width=NARROW, force_terminal=is_terminal, color_system=None)
    monkeypatch.setattr(terminal, "console", console)
    result = CliRunner().invoke(main, ["show", "fusion", name])
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert lines[0].startswith(f"fusion {name}  ({FUSIONS[name].level} level")
    assert ("additive" in lines[0]) == FUSIONS[name].additive
    said = [one for one in paragraphs(name) if not one.startswith("Options:")]
    expected = "\n\n".join(said).splitlines()
    assert max(map(len, expected)) > NARROW
    assert lines[1 : 1 + len(expected)] == expected
    for letter, meaning in NOTATION.items():
        assert f"{letter} {meaning}" in result.output


def test_a_pipe_gets_whole_formulas_and_whole_tables():
    done = subprocess.run(
        [sys.executable, "-m", "fusionlab", "show", "fusion", "gated"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": str(NARROW)},
    )
    assert "z = gate(sum_j G_j g_j + c) in R^(M x D),  v = sum_m z_m * tanh(h_m)\n" in done.stdout
    assert '"softmax" over the modalities present, or "sigmoid" for each on its own' in done.stdout


def test_a_plug_in_without_a_strategy_is_not_checked_in_silence(tmp_path, monkeypatch):
    own = {name: FUSIONS[name] for name in FUSIONS.names() if is_own(FUSIONS[name])}
    monkeypatch.setattr(FUSIONS, "_parts", own)  # whatever other tests have registered
    file = tmp_path / "forgotten.py"
    file.write_text("import torch\n")
    result = CliRunner().invoke(main, ["check", "--plugin", str(file)])
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert f"--plugin {file}: found no strategy, expected a class under @FUSIONS" in said


def test_a_part_without_a_docstring_does_not_show_that_of_its_base(tmp_path, monkeypatch):
    monkeypatch.setattr(FUSIONS, "_parts", {name: FUSIONS[name] for name in FUSIONS.names()})
    file = tmp_path / "silent.py"
    file.write_text(
        "from fusionlab.fusion.contract import FUSIONS\n\n"
        '@FUSIONS.register("silent")\nclass Silent(FUSIONS["gated"]):\n    pass\n'
    )
    shown = CliRunner().invoke(main, ["show", "fusion", "silent", "--plugin", str(file)])
    assert shown.exit_code == 0, shown.output
    assert shown.output.splitlines()[1] == "(no docstring)"
    assert (FUSIONS["gated"].__doc__ or "").splitlines()[0] not in shown.output
    listed = CliRunner().invoke(main, ["list", "fusion", "--plugin", str(file)])
    assert re.search(r"^silent .*\(no docstring\)", listed.output, re.MULTILINE), listed.output
