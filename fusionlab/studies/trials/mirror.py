"""The trials in a storage of Optuna's, for its dashboard and its importance plots.

It is written, never read: what a study does is decided by the records of its trials. So whatever
becomes of a storage, the next trial brings it up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fusionlab.errors import ConfigError
from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.search import Search

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


class Mirror:
    """Writes finished trials into a journal file beside them, or into a database.

    Args:
        store: where the trials stand.
        url: of the database, as SQLAlchemy has it; None: a journal file for each search.

    Raises:
        ConfigError: the database cannot be opened.
    """

    def __init__(self, store: RunStore, url: str | None) -> None:
        self.store, self.url = store, url
        self.database = None if url is None else self._opened(url)

    def bring_up_to_date(self, search: Search) -> None:
        """Write the finished trials that are not there yet."""
        with self.store.lock("optuna"):  # held by one process at a time, and freed if it is killed
            if self.database is not None:
                self._write(search, self.database)
                return
            try:
                self._write(search, self._journal(search))
            except Exception:  # optuna fails on a damaged journal in every way there is
                _file(search, self.store).unlink(missing_ok=True)
                self._write(search, self._journal(search))

    def _write(self, search: Search, storage: BaseStorage) -> None:
        import optuna

        from fusionlab.studies.trials.optuna_study import frozen

        study = optuna.create_study(
            storage=storage,
            study_name=f"{search.label} {search.id[:12]}",
            direction="maximize",
            load_if_exists=True,
        )
        trials = search.folder(self.store).first()
        known = len(study.get_trials(deepcopy=False))
        for trial in trials[known:]:
            study.add_trial(frozen(search, trial, trials))

    def _opened(self, url: str) -> BaseStorage:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self.store.lock("optuna"):
                return optuna.storages.RDBStorage(url)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            said = str(error).splitlines()[0]
            problem = f"found {url!r}, which cannot be opened ({said}); expected the URL of a"
            raise ConfigError(
                [(("tune", "storage"), f"{problem} database, such as sqlite:///trials.db")]
            ) from None

    def _journal(self, search: Search) -> BaseStorage:
        from optuna.storages.journal import (
            JournalFileBackend,
            JournalFileSymlinkLock,
            JournalStorage,
        )

        class OursAlready(JournalFileSymlinkLock):  # a killed process would leave a link behind
            def acquire(self) -> bool:
                return True

            def release(self) -> None:
                pass

        file = _file(search, self.store)
        _end_with_whole_lines(file)
        return JournalStorage(JournalFileBackend(str(file), OursAlready(str(file))))


def _file(search: Search, store: RunStore) -> Path:
    """The journal beside the trials."""
    return search.folder(store).folder / "optuna.log"


def _end_with_whole_lines(file: Path) -> None:
    """Cut off what a killed process wrote of its last line."""
    if file.is_file():
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            file.write_bytes(whole)
