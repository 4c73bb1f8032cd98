"""Steps that break a small dataset on disk; each returns a call that takes it."""

from pathlib import Path

import numpy as np


def text(path, content):
    return lambda: Path(path).write_text(content)


def data(path, content):
    return lambda: Path(path).write_bytes(content)


def rename(old, new):
    return lambda: Path(old).rename(new)


def remove(*paths):
    return lambda: [Path(path).unlink() for path in paths]


def save(path, values):
    return lambda: np.save(path, values)


def both(*steps):
    return lambda: [step() for step in steps]


def cells(world, row, column, value):
    """The table ``world`` with one cell changed."""
    rows = [list(cells) for cells in world]
    rows[row][column] = value
    return rows
