"""Where damaged files lie, and what holds whatever is in them: no trace, one error, memory."""

import os
import resource
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from fusionlab.errors import FusionlabError
from fusionlab.studies.memory import peak_mb, reset_peak

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""A disk would be asked 100,000 times to make a folder and to remove it."""
PAGES = Path("/proc/self/statm")


class Ground:
    """A folder that holds what each input says. Most files are those of the input before: only
    others are written, as new files, since an array may still map the old one."""

    def __init__(self, root):
        self.root, self.there, self.folders = root, {}, set()

    def lay(self, files):
        """Make it hold ``files`` as `damaged` gives them, and nothing else."""
        gone = [name for name, old in self.there.items() if files.get(name, self) is not old]
        for name in gone:
            file = self.root / name
            file.rmdir() if self.there.pop(name) is None else file.unlink()
        for name, content in files.items():
            if name not in self.there:
                self._write(name, content)

    def _write(self, name, content):
        file = self.root / name
        if (parent := os.path.dirname(name)) not in self.folders:
            file.parent.mkdir(parents=True, exist_ok=True)
            self.folders |= {parent, *(str(one) for one in Path(parent).parents)} - {"."}
        file.mkdir() if content is None else file.write_bytes(content)
        self.there[name] = content

    def check_untouched(self):
        """Nothing came, nothing went, nothing grew or shrank."""
        sizes = {name: None if one is None else len(one) for name, one in self.there.items()}
        expected = sizes | dict.fromkeys(self.folders - {""})
        found = seen(self.root)
        if found != expected:
            shutil.rmtree(self.root)  # the next input begins anew
            self.root.mkdir()
            self.there, self.folders = {}, set()
        assert found == expected


def seen(folder):
    """The size of everything in a folder, by name; None for a folder."""
    found = {}
    for path, folders, files in os.walk(folder):
        inside = os.path.relpath(path, folder)
        found |= {os.path.normpath(os.path.join(inside, name)): None for name in folders}
        for name in files:
            size = os.path.getsize(os.path.join(path, name))
            found[os.path.normpath(os.path.join(inside, name))] = size
    return found


@pytest.fixture
def ground():
    """A `Ground` in memory, if the system has such a place."""
    with in_memory() as home:
        (home / "data").mkdir()
        yield Ground(home / "data")


@contextmanager
def in_memory():
    """A folder for what writes: one input, or one test."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as home:
        yield Path(home)


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


@contextmanager
def _no_more_than(room):
    """So many bytes beside those that the process has: else its machine would stand still."""
    if not PAGES.exists():
        yield
        return
    used = int(PAGES.read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.fixture
def bounded():
    """However damaged, small files cost little memory; who asks for all of it gets an error."""
    reset_peak("cpu")
    before = peak_mb("cpu")
    with _no_more_than(1 << 33):
        yield
    grown = peak_mb("cpu") - before
    assert grown < 512, f"{grown:,.0f} MB for files of some kilobytes"
