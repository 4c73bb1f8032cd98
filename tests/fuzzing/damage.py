"""Files damaged in every way that a disk, an editor or an enemy knows; hypothesis shrinks them."""

import re
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from fusionlab.errors import FusionlabError

HOSTILE = [
    b"",
    b"\0",
    b"nan",
    b"-inf",
    b"1e999",
    b"-1",
    b"99999999999999999999999999",
    b"0x10",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{PILE OF POO}".encode(),
    b'"',
    b"'",
    b"\\",
    b"\r",
    b"\n\n",
    b"\t\t,,",
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'{"a": [{"b": null}]}',
    b"[" * 5000,
    b"../../../../etc/passwd",
    b"/dev/zero",
    b"%s%n{0}${x}",
    b"x" * 70_000,
    b"!!python/object/apply:os.system ['true']",
    b"cos\nsystem\n(S'true'\ntR.",
]
"""What stands in the place of a cell, a key or some bytes."""
CELL = re.compile(rb'[^\s,:;"\[\]{}]+')
PLACE = st.floats(0, 1)
PAYLOAD = st.sampled_from(HOSTILE) | st.binary(max_size=12)


def _at(content, place):
    return round(place * len(content))


def _cell(content, place, payload):
    cells = list(CELL.finditer(content))
    if not cells:
        return payload
    cell = cells[min(len(cells) - 1, _at(cells, place))]
    return content[: cell.start()] + payload + content[cell.end() :]


def _line(content, place, payload):
    """A line taken out and put, after ``payload``, at the end."""
    lines = content.splitlines(keepends=True) or [b""]
    line = lines.pop(min(len(lines) - 1, _at(lines, place)))
    return b"".join(lines) + payload + line


def _flip(content, place, payload):
    changed = bytearray(content or b"\0")
    changed[min(len(changed) - 1, _at(changed, place))] ^= 1 << (len(payload) % 8)
    return bytes(changed)


WAYS = {
    "cell": _cell,
    "line": _line,
    "flip": _flip,
    "cut": lambda content, place, _: content[: _at(content, place)],
    "head off": lambda content, place, _: content[_at(content, place) :],
    "insert": lambda content, place, payload: (
        content[: (at := _at(content, place))] + payload + content[at:]
    ),
    "overwrite": lambda content, place, payload: (
        content[: (at := _at(content, place))] + payload + content[at + len(payload) :]
    ),
    "whole": lambda _content, _place, payload: payload,
    "again": lambda content, place, _: content + content[_at(content, place) :],
}
BLOW = st.tuples(st.integers(0, 99), st.sampled_from(sorted(WAYS)), PLACE, PAYLOAD)
FATES = st.tuples(st.integers(0, 99), st.sampled_from(["gone", "folder", "swapped"]))
BLOWS = st.tuples(st.lists(BLOW, max_size=4), st.lists(FATES, max_size=1))
"""Blows at the bytes of some files of a folder, and then, perhaps, the loss of one."""


def struck(content, blows):
    """The bytes of one file after ``blows``."""
    for _, way, place, payload in blows:
        content = WAYS[way](content, place, payload)
    return content


def contents(folder):
    """The files of a folder and what is in them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def write_damaged(files, damage, folder):
    """Write ``files`` into ``folder``, damaged."""
    blows, fates = damage
    names, files = sorted(files), dict(files)
    for blow in blows:
        name = names[blow[0] % len(names)]
        files[name] = struck(files[name], [blow])
    for which, fate in fates:
        name, other = names[which % len(names)], names[(which + 1) % len(names)]
        if fate == "swapped":
            files[name], files[other] = files[other], files[name]
        else:
            del files[name]
            if fate == "folder":
                (folder / name).mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def seen(folder):
    """Everything in a folder, by name and size."""
    return {(str(p.relative_to(folder)), p.stat().st_size) for p in folder.rglob("*")}


@contextmanager
def refusing_cleanly():
    """What is inside ends well or in the one error that a user sees, and says something."""
    try:
        yield
    except FusionlabError as error:
        told = str(error)
        assert told.strip()
        assert "Traceback" not in told
        assert " object at 0x" not in told


@pytest.fixture
def bounded():
    """However damaged, small files cost little memory (KiB of the process at its largest)."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 512 * 1024, f"{grown / 1024:,.0f} MiB for files of some kilobytes"


ROOT = Path(__file__).parents[2]
