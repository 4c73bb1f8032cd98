"""Files damaged in every way that a disk, an editor or an enemy knows; hypothesis shrinks them."""

import json
import os
import re
from pathlib import Path

from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


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
    b"\\ud800",
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


VALUES = [
    *(None, True, -1, 0, 1.5, 1e300, float("nan"), float("inf"), 10**30),
    *("", "x", "\ud800", "../..", [], {}, [None], {"a": None}, [[]], ["a"], [-1.5], {"a": {}}),
]
"""What stands in the place of a value of JSON."""


def _nodes(data):
    """Every place of a value: what holds it, and its key or number there."""
    inside = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in inside:
        yield data, key
        if isinstance(value, dict | list):
            yield from _nodes(value)


def _value(content, place, payload):
    """A value of a file of JSON, or of one of its lines, that is another or is left out."""
    lines = [content]
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        lines = content.splitlines(keepends=True)
    row = len(payload) % max(1, len(lines))
    try:
        data = json.loads(lines[row])
        nodes = [*_nodes(data)]
        holder, key = nodes[min(len(nodes) - 1, _at(nodes, place))]
    except (ValueError, TypeError, LookupError, RecursionError):
        return _cell(content, place, payload)
    which = sum(payload) % (len(VALUES) + 1)
    if which == len(VALUES):
        del holder[key]
    else:
        holder[key] = VALUES[which]
    return b"".join([*lines[:row], json.dumps(data).encode() + b"\n", *lines[row + 1 :]])


def _flip(content, place, payload):
    changed = bytearray(content or b"\0")
    changed[min(len(changed) - 1, _at(changed, place))] ^= 1 << (len(payload) % 8)
    return bytes(changed)


WAYS = {
    "cell": _cell,
    "value": _value,
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
FATES = st.tuples(st.integers(0, 99), st.sampled_from(["gone", "folder", "swapped", "renamed"]))
STEMS = [
    ".hidden",
    "7_ann_1",
    "seven_ann_1",
    "9_cat_99999999999999999999999999",
    "10",
    "text.mask",
    "[a-z].ids",
    "items",
    "x" * 200,
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{PILE OF POO}",
    "\udcff",
    "%s{0}",
    " ",
]
"""What a file is called in the place of its name before the ending; one is no UTF-8."""
BLOWS = st.tuples(st.lists(BLOW, max_size=4), st.lists(FATES, max_size=2))
"""Blows at the bytes of some files of a folder, and then, perhaps, the loss of some or of names."""


def struck(content, blows):
    """The bytes of one file after ``blows``."""
    for _, way, place, payload in blows:
        content = WAYS[way](content, place, payload)
    return content


def contents(folder):
    """The files of a folder and what is in them."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def damaged(files, damage):
    """``files`` after ``damage``, by name; None stands for a folder."""
    blows, fates = damage
    names, files = sorted(files), dict(files)
    for blow in blows:
        name = names[blow[0] % len(names)]
        files[name] = struck(files[name], [blow])
    for which, fate in fates:
        names = sorted(name for name, content in files.items() if content is not None)
        if not names:
            break
        name, other = names[which % len(names)], names[(which + 1) % len(names)]
        if fate == "swapped":
            files[name], files[other] = files[other], files[name]
        elif fate == "folder":
            files[name] = None
        elif fate == "renamed":
            place, ending = os.path.dirname(name), "".join(Path(name).suffixes)
            files[os.path.join(place, STEMS[which % len(STEMS)] + ending)] = files.pop(name)
        else:
            del files[name]
    return files
