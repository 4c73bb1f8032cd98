"""The list of messages is whole, so that each new one is read by whoever reviews the change."""

from pathlib import Path

import user_messages
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.errors import FusionlabError

LIST = Path(__file__).with_name("user_messages.txt")


def test_every_message_stands_in_the_list():
    remedy = "python tests/user_messages.py > tests/user_messages.txt"
    assert LIST.read_text() == user_messages.listed(), remedy


def test_no_error_of_another_name_is_told():
    kinds = [FusionlabError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    ours = {kind.__name__ for kind in kinds if kind.__module__.startswith("fusionlab")}
    assert ours <= user_messages.NAMES


def test_what_is_told_is_noted_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(user_messages, "told", set())
    Path("x.yaml").write_text("dataset: {name: synthetic}\nmodle: 3\n")
    every = set(user_messages.untold())
    for file in ("nowhere.yaml", "x.yaml"):
        assert CliRunner().invoke(main, ["run", file]).exit_code == 1
    told = every - set(user_messages.untold())
    # the file that is not there, the key that is unknown, and the command line that prints both
    assert {one.file for one in told} == {"layers.py", "schema.py", "cli.py"}
    assert len(told) == 3
