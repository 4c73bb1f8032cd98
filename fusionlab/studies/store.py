"""The run store: one folder a run, named by its content, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import polars as pl
import torch
import yaml
from filelock import FileLock, Timeout
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fusionlab.data.disk import flush, whole, writing
from fusionlab.data.sealed import (
    check_listed,
    has_seal,
    intact,
    sealed,
    unsealed,
    write_sums,
)
from fusionlab.encoders.store import FeatureStore
from fusionlab.errors import FusionlabError
from fusionlab.schema import said_by
from fusionlab.studies.record import WORDS_FILE, RunRecord
from fusionlab.studies.user_tables import PER_USER_FILE, TABLES, erase, forget_user

MODEL_FILE = "model.safetensors"
READ_BACK = (MODEL_FILE, *TABLES)
DIVERGED_FILE = "diverged_batch.csv"
"""In the folder of an unfinished run: users and items of the step whose loss was no number."""


class RunStore:
    """Finished runs under ``root``: ``<id>/record.json``, ``config.yaml``, ``per_user.parquet`` and
    ``model.safetensors``, the state of the trained model (`load_trained` brings it back); of an
    update also ``words.parquet``, what it was told. The record is sealed, and ``SHA256SUMS`` holds
    the digests of the other files: what has changed by a byte is refused when it is read.

    A run is written into ``.partial/<id>`` and appears in its place by one rename. Its lock is held
    by the operating system for the process that works on it, so a killed process frees it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, run: str) -> Path:
        """Where a finished run stands."""
        return self.root / run

    def partial(self, run: str) -> Path:
        """Where an unfinished run keeps its checkpoint."""
        return self._made(self.root / ".partial" / run)

    @contextmanager
    def unfinished(self, run: str) -> Iterator[Path]:
        """The same while somebody works on the run; it goes if nothing is left in it."""
        partial = self.partial(run)
        try:
            yield partial
        finally:
            with suppress(OSError):  # something is in it, or it stands in its place
                partial.rmdir()

    def lock(self, run: str) -> FileLock:
        """The lock of one run; hold it while you work on the run."""
        return FileLock(self._made(self.root / ".locks") / f"{run}.lock")

    @property
    def features(self) -> FeatureStore:
        """Where encoded columns of raw media are kept."""
        return FeatureStore(self.root / "features")

    @contextmanager
    def sharing(self) -> Iterator[Path]:
        """A folder in which workers share what they prepared; it is removed at the end."""
        lock = self._made(self.root / ".shared") / f"{uuid4().hex}.lock"
        with FileLock(lock):
            try:
                yield lock.with_suffix("")
            finally:
                _remove_shared(lock)

    def remove_left_over(self) -> None:
        """Remove what workers shared whose processes were killed."""
        for lock in (self.root / ".shared").glob("*.lock"):
            with suppress(Timeout), FileLock(lock).acquire(timeout=0):
                _remove_shared(lock)

    def _made(self, folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FusionlabError(
                f"{folder}: cannot be made ({error.strerror}); keep run records elsewhere: --runs"
            ) from None
        return folder

    def __contains__(self, run: str) -> bool:
        return (self.folder(run) / "record.json").is_file()

    def load(self, run: str) -> RunRecord:
        """Read a finished run; of one that was sealed, the digests of its files must be there."""
        file = self.folder(run) / "record.json"
        try:
            text = file.read_text()
            record = RunRecord.from_json(unsealed(text), self.folder(run))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise FusionlabError(
                f"{file}: not a run record ({said_by(error)}); delete the folder and run again"
            ) from None
        if record.id != run:
            raise FusionlabError(
                f"{file}: found the record of {record.id}, expected that of {run}, the name of its "
                "folder"
            )
        if has_seal(text) and (file.parent / MODEL_FILE).exists():  # an export has no model
            told = [WORDS_FILE] if record.updated_from else []
            check_listed(file.parent, [MODEL_FILE, PER_USER_FILE, *told])
        return record

    def find(self, prefix: str) -> RunRecord:
        """The one finished run whose id begins with ``prefix``."""
        if not prefix:
            raise FusionlabError("run: found '', expected the first characters of a run's id")
        matches = [run for run in self.runs() if run.startswith(prefix)]
        if len(matches) != 1:
            found = ", ".join(run[:12] for run in matches) or "none that is finished"
            raise FusionlabError(
                f"run {prefix!r}: found {found} under {self.root}, expected exactly one"
            )
        return self.load(matches[0])

    def runs(self) -> list[str]:
        """Ids of the finished runs."""
        if not self.root.is_dir():
            return []
        return sorted(file.parent.name for file in self.root.glob("*/record.json"))

    def save(
        self, record: RunRecord, per_user: pl.DataFrame, state: Mapping[str, Tensor]
    ) -> RunRecord:
        """Write a finished run; afterwards it is there whole, its partial folder is gone.

        ``state`` is that of the trained model.
        """
        partial, target = self.partial(record.id), self.folder(record.id)
        with writing(partial):
            save_file(_apart(state), partial / MODEL_FILE)
            per_user.write_parquet(partial / PER_USER_FILE)
            (partial / "config.yaml").write_text(yaml.safe_dump(record.config, sort_keys=False))
            _written(partial / "record.json", record)
            for name in ("checkpoint.pt", DIVERGED_FILE):
                (partial / name).unlink(missing_ok=True)
            write_sums(partial, (name for name in READ_BACK if (partial / name).is_file()))
            for file in partial.iterdir():
                flush(file)
            flush(partial)
            if target.exists():
                shutil.rmtree(target)
            os.rename(partial, target)
            flush(self.root)
        return self.load(record.id)

    def forget_user(self, run: str, names: Collection[str]) -> int:
        """`user_tables.forget_user` in a finished run, while nobody else works on it."""
        with self.lock(run):
            return forget_user(self.folder(run), names)

    def clear_unfinished_tables(self) -> list[str]:
        """Remove tables of runs that were killed before they stood in their place; the runs write
        them again. Returns the runs that are under way, whose tables stay."""
        under_way = []
        for folder in (self.root / ".partial").glob("*"):
            try:
                with self.lock(folder.name).acquire(timeout=0):
                    for name in (*TABLES, DIVERGED_FILE):
                        if (folder / name).is_file():
                            erase(folder / name)
            except Timeout:
                under_way.append(folder.name)
        return under_way

    def note_openings(self, run: str, entries: list[dict[str, str]]) -> RunRecord:
        """Write into the record of a finished run that its test labels were opened again."""
        with self.lock(run):
            record = self.load(run)
            noted = replace(record, test_opened=[*record.test_opened, *entries])
            file = self.folder(run) / "record.json"
            _written(file, noted, seal=has_seal(file.read_text()))
        return noted


def load_model(model: nn.Module, file: Path, device: str = "cpu") -> None:
    """Put what a run trained into ``model``: all of its state, buffers too; nothing of the file is
    executed.

    Raises:
        FusionlabError: the file cannot be read, has changed by a byte since, or is of other shapes.
    """
    intact(file)
    try:
        state = load_file(file, device=device)
    except (OSError, ValueError, SafetensorError) as error:
        raise FusionlabError(
            f"{file}: cannot be read ({error}); delete the folder and run the experiment again"
        ) from None
    try:
        model.load_state_dict(state)
    except RuntimeError as error:  # torch names every key and shape that does not fit
        raise FusionlabError(
            f"{file}: does not fit this model ({' '.join(str(error).split())}); if the code has "
            "changed since, run the experiment again"
        ) from error


def _written(file: Path, record: RunRecord, *, seal: bool = True) -> None:
    """Write a record, whole or not at all; of a run without digests it stays without a seal."""
    data = record.to_json()
    with whole(file) as draft:
        draft.write_text(sealed(data) if seal else json.dumps(data))


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each in memory of its own: the format knows no shared memory."""
    found, seen = {}, set()
    for name, tensor in state.items():
        here = tensor.detach().cpu()
        memory = here.untyped_storage().data_ptr()
        own = here.clone(memory_format=torch.contiguous_format) if memory in seen else here
        found[name] = own.contiguous()
        seen.add(memory)
    return found


def _remove_shared(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
