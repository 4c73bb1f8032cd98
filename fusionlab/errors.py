"""The one error a user sees: what was found, where, what is allowed, and the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FusionlabError(Exception):
    """A mistake that the user can mend. The command line prints it without a traceback."""


class ConfigError(FusionlabError):
    """A wrong key or value of a configuration.

    ``problems`` holds pairs of (path of keys, message). Each layer that knows a further part of the
    path adds it with `under`; the layer that knows the file adds it with `in_file`.
    """

    def __init__(self, problems: Iterable[tuple[tuple[str, ...], str]], source: str = "") -> None:
        self.problems = list(problems)
        self.source = source
        prefix = f"{source}: " if source else ""
        super().__init__(
            "\n".join(
                f"{prefix}{'.'.join(path)}: {message}" if path else f"{prefix}{message}"
                for path, message in self.problems
            )
        )

    def under(self, *keys: str) -> ConfigError:
        """The same error, seen from the layer above ``keys``."""
        return ConfigError([((*keys, *path), text) for path, text in self.problems], self.source)

    def in_file(self, source: str) -> ConfigError:
        """The same error with the name of the file (or command line) that holds the mistake."""
        return ConfigError(self.problems, source)


def one_of(found: object, allowed: Iterable[str]) -> str:
    """Say what was found, what is allowed, and which allowed name is nearest."""
    names = sorted(allowed)
    near = difflib.get_close_matches(str(found), names, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(names) if names else "nothing"
    return f"found {found!r}, expected one of: {listed}{hint}"
