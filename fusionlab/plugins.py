"""Parts from outside the package: files, modules, installed packages.

Whatever they do when they are imported, test labels stay shut.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from traceback import walk_tb
from typing import Any

from fusionlab.errors import FusionlabError
from fusionlab.seal import shut

PLUGIN_GROUP = "fusionlab.plugins"


@cache
def installed() -> tuple[EntryPoint, ...]:
    """What installed packages name under the entry-point group `PLUGIN_GROUP`."""
    return tuple(entry_points(group=PLUGIN_GROUP))


def load_installed() -> None:
    """Import the parts of installed packages."""
    with shut():
        for entry in installed():
            entry.load()


def load_plugin(source: str) -> None:
    """Import parts from outside the package: a Python file, or the name of an importable module."""
    with shut():
        _load(source, Path(source))


def _load(source: str, path: Path) -> None:
    if path.suffix != ".py":
        nothing = f"plug-in {source}: no file of this name that ends in .py, and no such module"
        if not all(part.isidentifier() for part in source.split(".")):
            raise FusionlabError(nothing)
        try:
            importlib.import_module(source)
        except ModuleNotFoundError as error:
            if error.name != source.split(".")[0] and error.name != source:
                raise
            raise FusionlabError(nothing) from None
        return
    if not os.path.isfile(path):
        raise FusionlabError(f"plug-in {source}: no such file")
    name = f"fusionlab_plugin_{path.stem}_{sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        del sys.modules[name]
        raise FusionlabError(f"plug-in {source}, line {error.lineno}: {error.msg}") from None
    except ImportError as error:
        del sys.modules[name]
        line = line_of(error, str(spec.origin))
        raise FusionlabError(f"plug-in {source}, line {line}: {error}") from error
    except BaseException:
        del sys.modules[name]
        raise


def source_hash(cls: type) -> str | None:
    """Hash of the file of a part from outside the package (None for a built-in part)."""
    if is_own(cls):
        return None
    return sha256(Path(source_file(cls)).read_bytes()).hexdigest()


def is_own(cls: type) -> bool:
    """Is a class part of this package?"""
    return cls.__module__.split(".")[0] == "fusionlab"


def source_file(cls: type | Callable[..., Any]) -> str:
    """The file that defines a class, or a function, or its module where there is no file."""
    try:
        return inspect.getsourcefile(cls) or cls.__module__
    except TypeError:
        return cls.__module__


def line_of(error: BaseException, file: str) -> int:
    """The last line of ``file`` that an error came through, 0 if none."""
    frames = walk_tb(error.__traceback__)
    return ([0] + [line for frame, line in frames if frame.f_code.co_filename == file])[-1]


def place(cls: type | Callable[..., Any]) -> str:
    """Where a class, or a function, stands, as errors name it: ``mine.py: Mine``."""
    return f"{source_file(cls)}: {cls.__qualname__}"
