"""What the package tells users who made a mistake: where each message stands, and which were told.

    python tests/user_messages.py > tests/user_messages.txt

A message is the text of an exception that the command line prints without a traceback, or of a
`BadMedia`, which the report of `fusionlab encode` prints, or of a ``ValueError``, which whoever
checks a file or a configuration puts into one of the others.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import fusionlab
from fusionlab.encoders.contract import BadMedia
from fusionlab.errors import FusionlabError

PACKAGE = Path(fusionlab.__file__).parent
NAMES = {
    *("FusionlabError", "ConfigError", "NotANumberError", "DivergedError", "BadMedia"),
    *("UsageError", "BadParameter", "ClickException", "ValueError"),
}
BASES = (FusionlabError, BadMedia, click.ClickException)
"""What they derive from, but for ``ValueError``, which cannot be watched."""


@dataclass(frozen=True)
class Message:
    """A text in the source: its file, the lines it stands on, whose it is, and the text itself."""

    file: str
    first: int
    last: int
    error: str
    text: str


def messages() -> Iterator[Message]:
    """Every message of the package, file by file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        file, tree = path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())
        calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call)]
        functions = [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)]
        for call in sorted(calls, key=lambda one: one.lineno):
            error = ast.unparse(call.func).split(".")[-1]
            if error in NAMES and file != "errors.py":
                texts = texts_at(call.lineno, functions)
                text = " ".join(template(one, texts) for one in call.args)
                yield Message(file, call.lineno, call.end_lineno, error, text)


def texts_at(line: int, functions: Sequence[ast.FunctionDef]) -> dict[str, ast.expr]:
    """What variables hold in the function that has this line, where each is given one text."""
    within = [one for one in functions if one.lineno <= line <= one.end_lineno]
    if not within:
        return {}
    innermost = max(within, key=lambda one: one.lineno)
    given = [one for one in ast.walk(innermost) if isinstance(one, ast.Assign)]
    names = Counter(ast.unparse(one.targets[0]) for one in given)
    return {
        one.targets[0].id: one.value
        for one in given
        if isinstance(one.targets[0], ast.Name)
        and names[one.targets[0].id] == 1
        and isinstance(one.value, ast.JoinedStr | ast.Constant)
    }


def template(node: ast.expr, texts: Mapping[str, ast.expr]) -> str:
    """The text as it will be read, with what is filled in between braces."""
    if isinstance(node, ast.Constant):
        return str(node.value).replace("\n", "\\n")
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part, texts) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left, texts) + template(node.right, texts)
    if isinstance(node, ast.List | ast.Tuple):
        return ": ".join(template(one, texts) for one in node.elts)
    filled = node.value if isinstance(node, ast.FormattedValue) else node
    if isinstance(filled, ast.Name) and filled.id in texts:
        others = {name: text for name, text in texts.items() if name != filled.id}
        return template(texts[filled.id], others)
    return "{" + ast.unparse(filled) + "}"


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
        and lines.get(one.file, set()).isdisjoint(range(one.first, one.last + 1))
    ]


def _noting(init):
    def noted(self, *args, **options):
        frame = sys._getframe(1)
        while frame.f_back and frame.f_locals.get("self") is self:  # of what derives from it
            frame = frame.f_back
        while frame.f_back and frame.f_code.co_filename.endswith("fusionlab/errors.py"):
            frame = frame.f_back
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            told.add((path.relative_to(PACKAGE).as_posix(), frame.f_lineno))
        init(self, *args, **options)

    return noted


if __name__ == "__main__":
    sys.stdout.write(listed())
