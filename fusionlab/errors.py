"""The one error a user sees: what was found, where, what is allowed, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

Path = tuple[str, ...]
SHOWN = 120
"""Characters of a value that are repeated."""


class FusionlabError(Exception):
    """A mistake that the user can mend. The command line prints it without a traceback."""


class NotANumberError(FusionlabError):
    """A model's scores are NaN: has training diverged?"""


class ConfigError(FusionlabError):
    """Wrong keys or values of a configuration.

    ``problems`` holds triples of path of keys, message and source (a file, the command line, or
    nothing yet). Each layer that knows a further part of the path adds it with `under`; the layer
    that knows where a key was written adds that with `written_in`.
    """

    def __init__(self, problems: Iterable[tuple[Path, str] | tuple[Path, str, str]]) -> None:
        self.problems = [(p[0], p[1], p[2] if len(p) == 3 else "") for p in problems]
        super().__init__("\n".join(self._line(*problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[tuple[Path, str, str]]]]:
        return type(self), (self.problems,)

    @staticmethod
    def _line(path: Path, message: str, source: str) -> str:
        place = ".".join(key if len(key) <= SHOWN else f"{key[:SHOWN]} ..." for key in path)
        return ": ".join(filter(None, (source, place, message)))

    def under(self, *keys: str) -> ConfigError:
        """The same error, seen from the layer above ``keys``."""
        return ConfigError([((*keys, *path), text, source) for path, text, source in self.problems])

    def written_in(self, find: Callable[[Path], str]) -> ConfigError:
        """The same error with the place where each mistake was written."""
        return ConfigError(
            [(path, text, source or find(path)) for path, text, source in self.problems]
        )


def one_of(found: object, allowed: Iterable[str]) -> str:
    """Say what was found, what is allowed, and which allowed name is nearest."""
    names = sorted(allowed)
    listed = ", ".join(names) if names else "nothing"
    return f"found {shown(found)}, expected one of: {listed}{nearest(found, names)}"


def shown(found: object) -> str:
    """A value as messages repeat it: the beginning of a long one."""
    text = repr(found)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def among(expected: str, found: Iterable[str]) -> str:
    """Say that a column was expected among those found, and which of those is nearest."""
    names = sorted(found)
    listed = ", ".join(names) if names else "none"
    near = nearest(expected, names)
    return f"found the columns {listed}, expected {expected!r} among them{near}"


def with_article(noun: str) -> str:
    """A noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def nearest(found: object, names: Iterable[str]) -> str:
    """The end of a message that says which name is nearest; empty where none is near."""
    near = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
