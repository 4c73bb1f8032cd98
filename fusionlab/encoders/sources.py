"""Where a pretrained model comes from: a hub, a local folder or file, an installed package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from tempfile import mkdtemp

from filelock import FileLock

from fusionlab.data.fingerprint import file_fingerprint
from fusionlab.errors import FusionlabError, nearest

PACKAGE = "package:"


def locate(model: str) -> Path | str:
    """The folder or file that ``model`` names, or ``model`` itself where it is a hub's.

    - ``package:NAME`` or ``package:NAME/PATH``: the installed distribution NAME, whose files are
      searched for PATH (a folder or file, relative to where its packages are installed); without
      PATH it is the folder of its ``config.json``, else of its largest file
    - an existing folder or file
    - anything else is the name of a hub's model
    """
    if not model.startswith(PACKAGE):
        return Path(model) if os.path.exists(model) else model
    name, _, inner = model.removeprefix(PACKAGE).partition("/")
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise FusionlabError(
            f"model: found {model!r}, but no such package is installed: pip install {name}"
        ) from None
    if inner:
        found = Path(str(metadata.distribution(name).locate_file(inner)))
        if not found.exists():
            raise FusionlabError(
                f"model: found {model!r}, expected a folder or file of the package {name}"
                f"{nearest(inner, map(str, files))}"
            )
        return found
    paths = [Path(str(file.locate())) for file in files]
    named = [path for path in paths if path.name == "config.json"]
    if named:  # the outermost: parts of a model may have a configuration of their own
        return min(named, key=lambda path: len(path.parts)).parent
    return max(paths, key=lambda path: path.stat().st_size).parent


def content_of(model: str) -> str:
    """A hash of the weights and configuration in the folder or file that ``model`` names; empty
    for a hub's name, which stands for itself."""
    found = locate(model)
    if isinstance(found, str):
        return ""
    files = [found] if found.is_file() else sorted(found.iterdir())
    digest = sha256()
    for file in files:
        if file.suffix in (".safetensors", ".gguf", ".json"):
            about = file.stat()
            digest.update(f"{file.name} {_hash(file, about.st_size, about.st_mtime_ns)}".encode())
    return digest.hexdigest()


@cache
def _hash(file: Path, size: int, changed: int) -> str:
    """Of a file as it was when it had that size and time: read once a process."""
    return file_fingerprint(file)


def cache_folder() -> Path:
    """Where models that had to be converted are kept: in XDG_CACHE_HOME, else in ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fusionlab"


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """``folder`` of the cache: written by ``make`` if it is not there, whole or not at all, by one
    process while others wait."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            new = Path(mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            try:
                make(new)
                new.rename(folder)
            finally:
                shutil.rmtree(new, ignore_errors=True)
    return folder
