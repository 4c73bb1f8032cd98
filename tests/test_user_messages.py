"""The list of messages is whole, so that each new one is read by whoever reviews the change."""

import ast
from pathlib import Path

import pytest
import user_messages
from click.testing import CliRunner
from source_texts import templates, texts_at

from fusionlab.cli import main
from fusionlab.encoders.workers import attempt
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


def test_what_a_function_makes_is_noted_where_it_is_called(monkeypatch):
    monkeypatch.setattr(user_messages, "told", set())
    every = set(user_messages.untold())
    with pytest.raises(FusionlabError, match="found None, expected a dict of tensors"):
        attempt(lambda raw: None, "a text")
    (told,) = every - set(user_messages.untold())
    assert (told.file, told.error) == ("encoders/workers.py", "tensors_returned")
    assert told.text == "{its}: found {told(found)}, expected a dict of tensors by name"


def test_a_text_is_each_that_its_variable_may_hold():
    source = """
def f(x):
    try:
        why = "first"
        raise E(why)
    except A:
        why = f"second {x}"
    except B:
        why = "third"
    raise E(why)
"""
    function = ast.parse(source).body[0]
    calls = [one for one in ast.walk(function) if isinstance(one, ast.Call)]
    first, both = sorted(calls, key=lambda one: one.lineno)
    assert templates(first.args[0], texts_at(first.lineno, [function])) == ["first"]
    found = templates(both.args[0], texts_at(both.lineno, [function]))
    assert found == ["first", "second {x}", "third"]


def test_what_makes_errors_is_nowhere_passed_along():
    """A call under another name would be no message."""
    for file, tree in user_messages.sources():
        nodes = [*ast.walk(tree)]
        called = {id(one.func) for one in nodes if isinstance(one, ast.Call)}
        passed = [one for one in nodes if isinstance(one, ast.Name) and id(one) not in called]
        for one in passed:
            assert not user_messages.maker_of(ast.Call(one, [], []), file), (file, one.lineno)
