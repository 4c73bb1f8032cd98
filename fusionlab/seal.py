"""The seal on test labels, and the ledger of who opened it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, NoReturn, TypeVar

from fusionlab.errors import FusionlabError

T = TypeVar("T")


@dataclass
class Openings:
    """The ledger of every time test labels were opened; it becomes part of the run record."""

    entries: list[dict[str, str]] = field(default_factory=list)

    def note(self, what: str, why: str) -> None:
        """Write one line: what was opened, why, and when (UTC)."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        self.entries.append({"what": what, "why": why, "when": when})


_only_ledger: ContextVar[Openings | None] = ContextVar("_only_ledger", default=None)


@contextmanager
def shut(ledger: Openings | None = None) -> Iterator[None]:
    """Until it ends test labels open for ``ledger`` alone, or, without one, for nobody.

    While a model is built, trained and judged, any code of it may run: a strategy that opens test
    labels with a ledger of its own would leave no trace in the run's record. Within another `shut`
    it opens nothing more than that one does.
    """
    outer = _only_ledger.get()
    opened = ledger is not None and (outer is None or outer is ledger)
    token = _only_ledger.set(ledger if opened else Openings())
    try:
        yield
    finally:
        _only_ledger.reset(token)


class Sealed(Generic[T]):
    """Test labels. `open` is the one way in, and it writes into the run record that it was used."""

    def __init__(self, what: str, content: T) -> None:
        self._what = what
        self._content = content

    def open(self, ledger: Openings, why: str) -> T:
        """Return the test labels and note in ``ledger`` that they were opened, and why.

        Raises:
            FusionlabError: they are `shut`, and not for this ledger.
        """
        only = _only_ledger.get()
        if only is not None and only is not ledger:
            self._refuse(f"open, {why!r}")
        ledger.note(self._what, why)
        return self._content

    def mapped(self, change: Callable[[T], T]) -> Sealed[T]:
        """The labels changed, and sealed as before: whoever asks for it sees none of them.

        Raises:
            FusionlabError: they are `shut`, since ``change`` sees them.
        """
        if _only_ledger.get() is not None:
            self._refuse("mapped")
        return Sealed(self._what, change(self._content))

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(name)

    def __len__(self) -> int:
        self._refuse("len")

    def __iter__(self) -> Iterator[object]:
        self._refuse("iter")

    def __getitem__(self, key: object) -> object:
        self._refuse(f"[{key}]")

    def __bool__(self) -> bool:
        return True

    def _refuse(self, asked: str) -> NoReturn:
        raise FusionlabError(
            f"{self._what} are sealed: only the final evaluation opens them, with "
            f"open(ledger, why); training and tuning see train and validation alone "
            f"(asked for: {asked})"
        )
