"""The feedback log of a run as the page uses it: looking makes no file and needs none."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from fusionlab.errors import FusionlabError
from fusionlab.serving.events import Event
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.recommend import Service


class RunLog:
    """A `FeedbackLog` that is opened when something stands in it, or is to be written.

    One that cannot be read counts as empty, and ``fault`` says why. Arguments are those of
    `FeedbackLog`.
    """

    def __init__(
        self,
        file: Path,
        users: Collection[str],
        items: Collection[str],
        known_as: Callable[[str], str],
    ) -> None:
        self.file, self.users, self.items, self.known_as = file, users, items, known_as
        self.fault = ""
        self._log: FeedbackLog | None = None

    def events(self, user: str | None = None, kinds: Collection[str] = ()) -> list[Event]:
        """What `FeedbackLog.events` gives; nothing where there is no log, or ``fault``."""
        self.fault = ""
        try:
            there = self._log is not None or self.file.exists()
            return self._opened().events(user, kinds) if there else []
        except (FusionlabError, OSError) as error:
            self.fault = str(error)
            return []

    def add(self, *events: Event) -> None:
        """As of `FeedbackLog.add`.

        Raises:
            FusionlabError: besides, a log that cannot be made or written.
        """
        self._opened().add(*events)

    def close(self) -> None:
        """Close the file; what is asked or written afterwards opens it again."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _opened(self) -> FeedbackLog:
        if self._log is None:
            self._log = FeedbackLog(self.file, self.users, self.items, self.known_as)
        return self._log


def log_of(service: Service) -> RunLog:
    """The log of a service of the page, which gives each one."""
    assert isinstance(service.log, RunLog)
    return service.log
