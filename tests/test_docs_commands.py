"""Every command in the README and in docs/ is one: its options exist, its configuration is read."""

import re
import shlex
from pathlib import Path

import pytest

from fusionlab.cli import main
from fusionlab.config import load_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONSOLE = re.compile(r"^```(?:console|bash|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands():
    """(page, words) of each; a line that ends in a backslash goes on in the next."""
    for page in PAGES:
        for block in CONSOLE.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    yield page.name, shlex.split(line[2:], comments=True)


def parsed(words):
    """The command's own name and its arguments, as click reads them."""
    group, context = main, main.make_context("fusionlab", list(words), resilient_parsing=True)
    name, command, rest = group.resolve_command(context, list(words))
    if hasattr(command, "commands"):
        _, rest, _ = command.make_parser(context).parse_args(list(rest))  # a group's own arguments
        name, command, rest = command.resolve_command(context, rest)
    return name, command.make_context(name, list(rest)).params


OURS = [(page, words[1:]) for page, words in commands() if words[0] == "fusionlab"]
SCRIPTS = [(page, words) for page, words in commands() if words[0] == "python"]


@pytest.mark.parametrize(("page", "words"), OURS, ids=[" ".join(words) for _, words in OURS])
def test_a_command_is_read(page, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    if words[0].startswith("-"):
        return
    _, params = parsed(words)
    config = params.get("config")
    if config is not None and config.is_file() and not params.get("plugins"):
        load_config(config, params["overrides"])


@pytest.mark.parametrize(("page", "words"), SCRIPTS, ids=[" ".join(words) for _, words in SCRIPTS])
def test_a_script_is_there(page, words):
    if words[1].endswith(".py"):
        assert (ROOT / words[1]).is_file()
