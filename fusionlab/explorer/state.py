"""What the page holds: boards, the last models that were looked at, and their catalogues."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError, one_of
from fusionlab.explorer.boards import Board
from fusionlab.explorer.catalogue import Catalogue
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.recommend import Service
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import Trained, load_trained

MODELS = 4
"""So many models are held, the last that were used."""
MASKED = 8
"""So many catalogues with some modalities switched off are held of each."""


class Explorer:
    """Boards and what it takes to recommend from them; any number of threads may ask at once.

    Args:
        boards: at least one.
        store: where their runs are.
    """

    def __init__(self, boards: Sequence[Board], store: RunStore) -> None:
        self.boards, self.store = list(boards), store
        self._services: OrderedDict[str, tuple[Service, threading.Lock]] = OrderedDict()
        self._catalogues: dict[int, Catalogue] = {}
        self._loading = threading.RLock()

    @contextmanager
    def service(self, board: int, label: str) -> Iterator[Service]:
        """The service of a row's first run, for one thread at a time: its scores share memory.

        Raises:
            FusionlabError: no such row, or a run that cannot be brought back.
        """
        with self._loading:
            service, lock = self._opened(board, label)
        with lock:
            yield service

    def catalogue(self, board: int) -> Catalogue | None:
        """The items of a board; None where there is no such board, or it recommends nothing."""
        if board not in self._catalogues:
            if board >= len(self.boards) or not self.boards[board].strategies:
                return None
            with self._loading:
                self._opened(board, self.boards[board].strategies[0])
        return self._catalogues[board]

    def users(self, board: int) -> list[str]:
        """Ids of a board's users; none where it recommends nothing."""
        catalogue = self.catalogue(board)
        return [] if catalogue is None else catalogue.users

    def warm(self) -> None:
        """Bring back the two models that the page shows first, and make a list of each."""
        for label in self.boards[0].strategies[:2]:
            with self.service(0, label) as service:
                explain = service.scoring.ranker.items is not None
                service.recommend([*service.user_rows][:1], explain=explain)

    def _opened(self, board: int, label: str) -> tuple[Service, threading.Lock]:
        strategies = self.boards[board].strategies
        if label not in strategies:
            raise FusionlabError(f"strategy: {one_of(label, strategies)}")
        run = self.boards[board].row(label).records[0].id
        if run not in self._services:
            trained = load_trained(run, self.store)
            log = FeedbackLog(
                feedback_file(trained.record, self.store), known_as=trained.dataset.known_as
            )
            service = Service(trained, log=log, kept=MASKED)
            log.users, log.items = service.user_rows, service.item_rows
            self._services[run] = service, threading.Lock()
            while len(self._services) > MODELS:
                self._services.popitem(last=False)
        self._services.move_to_end(run)
        service, lock = self._services[run]
        if board not in self._catalogues:
            self._catalogues[board] = Catalogue(service.dataset, _folder(service.trained))
        return service, lock


def _folder(trained: Trained) -> Path | None:
    """Where the dataset's files are; None where it has no files."""
    path = getattr(experiment_from(trained.record.config).dataset, "path", None)
    return None if path is None else Path(path)
