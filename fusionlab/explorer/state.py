"""What the page holds: boards, the last models that were looked at, and their catalogues."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError, one_of
from fusionlab.explorer.boards import Board
from fusionlab.explorer.catalogue import Catalogue
from fusionlab.explorer.models import Models
from fusionlab.serving.recommend import Service
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import Trained


class Explorer:
    """Boards and what it takes to recommend from them; any number of threads may ask at once.

    Args:
        boards: at least one.
        store: where their runs are.
    """

    def __init__(self, boards: Sequence[Board], store: RunStore) -> None:
        self.boards, self.store, self.models = list(boards), store, Models(store)
        self._catalogues: dict[int, Catalogue] = {}

    @contextmanager
    def service(self, board: int, label: str) -> Iterator[Service]:
        """The service of a row's first run, for one thread at a time.

        Raises:
            FusionlabError: no such row, or a run that cannot be brought back.
        """
        strategies = self.boards[board].strategies
        if label not in strategies:
            raise FusionlabError(f"strategy: {one_of(label, strategies)}")
        with self.models.service(self.boards[board].row(label).records[0].id) as service:
            if board not in self._catalogues:
                self._catalogues[board] = Catalogue(service.dataset, _folder(service.trained))
            yield service

    def fault(self, board: int, label: str) -> str:
        """Why the run of a row cannot be brought back; nothing where it can."""
        try:
            with self.service(board, label):
                return ""
        except FusionlabError as error:
            return str(error)

    def catalogue(self, board: int) -> Catalogue | None:
        """The items of a board; None where there is no such board, or it recommends nothing.

        Raises:
            FusionlabError: none of its runs can be brought back.
        """
        if board >= len(self.boards) or not self.boards[board].strategies:
            return None
        faults = []
        for label in self.boards[board].strategies:
            if board not in self._catalogues:
                faults.append(self.fault(board, label))
        if board not in self._catalogues:
            raise FusionlabError(faults[0])
        return self._catalogues[board]

    def users(self, board: int) -> list[str]:
        """Ids of a board's users; none where it recommends nothing, or nothing can be read."""
        try:
            catalogue = self.catalogue(board)
        except FusionlabError:
            return []  # the list says what is wrong
        return [] if catalogue is None else catalogue.users

    def warm(self) -> list[str]:
        """Bring back the two models that the page shows first, make a list of each and ready the
        catalogue for a search; what went wrong, if anything did."""
        faults = []
        for label in self.boards[0].strategies[:2]:
            try:
                with self.service(0, label) as service:
                    explain = service.scoring.ranker.items is not None
                    service.recommend([*service.user_rows][:1], explain=explain)
                    self._catalogues[0].search("ready", 0, 0)
            except FusionlabError as error:
                faults.append(f"{label}: {error}")
        return faults


def _folder(trained: Trained) -> Path | None:
    """Where the dataset's files are; None where it has no files."""
    path = getattr(experiment_from(trained.record.config).dataset, "path", None)
    return None if path is None else Path(path)
