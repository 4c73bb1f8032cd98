"""Each tutorial, done as written: its files, its commands, and what they are shown to print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL = {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


def commands(block):
    """(command, lines that it is shown to print) of a console block."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.replace("\\\n", " ").splitlines()
        yield command, shown


def plain(text):
    """Words and signs, whatever the layout and the numbers behind a point."""
    return re.sub(r"\.\d+", ".N", " ".join(text.split()))


@pytest.fixture
def shell(tmp_path):
    """A shell in an empty folder, with fusionlab installed."""
    home, tools = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    tools.mkdir()
    (tools / "fusionlab").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fusionlab "$@"\n')
    (tools / "fusionlab").chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"

    def run(command):
        return subprocess.run(
            ["bash", "-c", command],
            cwd=home,
            env={**os.environ, **SHELL, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return home, run


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=[page.stem for page in TUTORIALS])
def test_a_tutorial_ends_as_written(page, shell):
    home, run = shell
    for kind, file, block in BLOCK.findall(page.read_text()):
        if file:
            (home / file).write_text(block)
            continue
        assert kind == "console", f"{page.name}: a block that is neither a file nor a command"
        for command, shown in commands(block):
            done = run(command)
            on_purpose = any(line.startswith("Error: ") for line in shown)
            assert (done.returncode != 0) == on_purpose, f"$ {command}\n{done.stdout}"
            assert "Traceback" not in done.stdout
            for line in shown:
                assert plain(line) in plain(done.stdout), f"$ {command}\n{done.stdout}"


def test_there_is_one_for_each_habit():
    assert [page.stem for page in TUTORIALS] == ["ablation", "new-fusion", "reproduce-a-table"]
