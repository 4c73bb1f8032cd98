"""What the package tells users who made a mistake: where each message stands, and which were told.

    python tests/user_messages.py > tests/user_messages.txt

A message is the text of an exception that the command line prints without a traceback, or of a
`BadMedia`, which the report of `fusionlab encode` prints, or of a ``ValueError``, which whoever
checks a file or a configuration puts into one of the others. Where a function makes the error
(`MAKERS`), each call of it is a message.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from types import CodeType

import click
from source_texts import Texts, templates, texts_at

import fusionlab
from fusionlab.encoders.contract import BadMedia
from fusionlab.errors import FusionlabError
from fusionlab.schema import EXPECTED

PACKAGE = Path(fusionlab.__file__).parent
NAMES = {
    *("FusionlabError", "ConfigError", "NotANumberError", "DivergedError", "BadMedia"),
    *("UsageError", "BadParameter", "ClickException", "ValueError"),
}
BASES = (FusionlabError, BadMedia, click.ClickException)
"""What they derive from, but for ``ValueError``, which cannot be watched."""
NEED_RAY = ("clusters.py", "studies/ray_executor.py")
"""Files whose messages are told in tests that need Ray, which `dev` does not bring."""
RAISERS = {"check_returned", "pair_returned", "tensors_returned"}
"""Functions that raise what they make."""


def named(node: ast.expr) -> str:
    """What is called, or returned, by its own name."""
    return ast.unparse(node).split(".")[-1]


@dataclass(frozen=True)
class Message:
    """A text in the source: its file, the lines it stands on, whose it is, and the text itself."""

    file: str
    first: int
    last: int
    error: str
    text: str


def sources() -> Iterator[tuple[str, ast.Module]]:
    """The package's files."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def functions_of(tree: ast.Module) -> list[ast.FunctionDef]:
    """All functions of a file, methods and inner ones too."""
    return [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]


MAKERS = {
    (file, one.name): one
    for file, tree in sources()
    if file != "errors.py"
    for one in functions_of(tree)
    if one.name in RAISERS or (one.returns and named(one.returns) in NAMES)
}
"""Functions that make an error of what they are given: each call of one is a message."""


def maker_of(call: ast.Call, file: str) -> tuple[str, ast.FunctionDef] | None:
    """The function that makes the error, and its file, if one does; of private ones its own."""
    called = named(call.func)
    for (home, name), one in MAKERS.items():
        if name == called and (home == file or not name.startswith("_")):
            return home, one
    return None


def calls_of(tree: ast.AST, file: str) -> list[ast.Call]:
    """Where errors are made."""
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
    made = [one for one in calls if named(one.func) in NAMES or maker_of(one, file)]
    return sorted(made, key=lambda one: one.lineno)


@cache
def messages() -> tuple[Message, ...]:
    """Every message of the package, file by file."""
    return tuple(_read())


def _read() -> Iterator[Message]:
    for file, tree in sources():
        functions = functions_of(tree)
        within = [one for (home, _), one in MAKERS.items() if home == file]
        inner = {line for one in within for line in range(one.lineno, one.end_lineno + 1)}
        for call in calls_of(tree, file) if file != "errors.py" else ():
            if call.lineno not in inner:
                for text in dict.fromkeys(said(call, file, texts_at(call.lineno, functions))):
                    yield Message(file, call.lineno, call.end_lineno, named(call.func), text)
        for expected in dict.fromkeys(EXPECTED.values()) if file == "schema.py" else ():
            yield Message(file, 0, 0, "ValueError", f"found {{value}}, expected {expected}")


def said(call: ast.Call, file: str, texts: Texts) -> list[str]:
    """The texts that a call may make, each argument of a maker put where the maker has it."""
    maker = maker_of(call, file)
    if maker is None:
        return [" ".join(one) for one in product(*(templates(arg, texts) for arg in call.args))]
    home, function = maker
    names = [one.arg for one in function.args.args if one.arg != "self"]
    given = [*zip(names, call.args, strict=False), *((one.arg, one.value) for one in call.keywords)]
    bound = {name: [*map(ast.Constant, templates(value, texts))] for name, value in given}
    return [
        text
        for one in calls_of(function, home)
        for text in said(one, home, texts_at(one.lineno, [function]) | bound)
    ]


def listed() -> str:
    """All messages, under the file each stands in."""
    lines, file = [], ""
    for message in messages():
        if message.file != file:
            file = message.file
            lines += ["", file] if lines else [file]
        lines.append("    " + message.text)
    return "\n".join(lines) + "\n"


told: set[tuple[str, int]] = set()
"""Where a message was made: the file and the line."""


def watch() -> None:
    """From now on every message that is made is noted in `told`."""
    for base in BASES:
        base.__init__ = _noting(base.__init__)


def untold() -> list[Message]:
    """The messages that were not made."""
    lines: dict[str, set[int]] = {}
    for file, line in told:
        lines.setdefault(file, set()).add(line)
    return [
        one
        for one in messages()
        if one.error != "ValueError"
        and (find_spec("ray") or one.file not in NEED_RAY)
        and lines.get(one.file, set()).isdisjoint(range(one.first, one.last + 1))
    ]


def _noting(init):
    def noted(self, *args, **options):
        frame = sys._getframe(1)
        while frame.f_back and (frame.f_locals.get("self") is self or _makes(frame.f_code)):
            frame = frame.f_back
        if file := _file(frame.f_code):
            told.add((file, frame.f_lineno))
        init(self, *args, **options)

    return noted


def _makes(code: CodeType) -> bool:
    """Is it a function whose caller has the message?"""
    return _file(code) == "errors.py" or (_file(code), code.co_name) in MAKERS


def _file(code: CodeType) -> str:
    """Where code of the package stands."""
    path = Path(code.co_filename)
    return path.relative_to(PACKAGE).as_posix() if path.is_relative_to(PACKAGE) else ""


if __name__ == "__main__":
    sys.stdout.write(listed())
