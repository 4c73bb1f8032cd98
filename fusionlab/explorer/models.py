"""Models in memory: the last runs that were asked for, each for one thread at a time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fusionlab.errors import FusionlabError
from fusionlab.explorer.run_log import RunLog
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

MODELS = 4
"""So many models are held, the last that were used, and those in use."""
MASKED = 8
"""So many catalogues with some modalities switched off are held of each."""
AGAIN = 30.0
"""Seconds for which a run that cannot be brought back is not tried again."""


@dataclass(eq=False)
class Held:
    """A run's service and log, once it is brought back, or why it cannot be; ``lock`` is that of
    the one thread that works with them (scores share memory), ``asking`` counts who waits too."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    asking: int = 0
    service: Service | None = None
    log: RunLog | None = None
    fault: str = ""
    failed: float = 0.0


class Models:
    """Brings runs back from a store; any number of threads may ask at once.

    Who asks for a model in memory waits for its users alone, not for one that is being loaded.
    """

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._held: OrderedDict[str, Held] = OrderedDict()
        self._book = threading.Lock()  # of what is held and asked for, never while a model works
        self._loading = threading.Lock()  # it seeds and sets up the process: one at a time

    def __len__(self) -> int:
        return sum(held.service is not None for held in self._held.values())

    @contextmanager
    def service(self, run: str) -> Iterator[Service]:
        """The service of a run, for one thread at a time.

        Raises:
            FusionlabError: it cannot be brought back; says which run and why.
        """
        with self._book:
            held = self._held.setdefault(run, Held())
            self._held.move_to_end(run)
            held.asking += 1
        try:
            with held.lock:
                yield self._brought_back(run, held)
        finally:
            with self._book:
                held.asking -= 1
                gone = self._let_go()
            for log in gone:
                log.close()

    def _let_go(self) -> list[RunLog]:
        """Forget the models that were not used for longest; their logs, to be closed."""
        loaded = [(run, held) for run, held in self._held.items() if held.service is not None]
        idle = [run for run, held in loaded if not held.asking]
        gone = [self._held.pop(run) for run in idle[: max(0, len(loaded) - MODELS)]]
        return [held.log for held in gone if held.log is not None]

    def _brought_back(self, run: str, held: Held) -> Service:
        if held.service is not None:
            return held.service
        if not held.fault or time.monotonic() - held.failed > AGAIN:
            held.fault = self._load(run, held)
            held.failed = time.monotonic()
        if held.service is None:
            raise FusionlabError(held.fault)
        return held.service

    def _load(self, run: str, held: Held) -> str:
        """What went wrong, or nothing."""
        try:
            with self._loading:
                trained = load_trained(run, self.store)
                service = Service(trained, kept=MASKED)
        except (FusionlabError, OSError) as error:
            told = str(error)
            return told if run[:12] in told else f"run {run[:12]}: {told}"
        file = feedback_file(service.record, self.store)
        known_as = service.dataset.known_as
        held.log = service.log = RunLog(file, service.user_rows, service.item_rows, known_as)
        held.service = service
        return ""
