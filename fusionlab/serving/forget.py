"""Forget a user: in the feedback logs, and in what runs keep of single users."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusionlab.config import experiment_from
from fusionlab.data.privacy import Privacy, Pseudonyms
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.ids import require_known
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import RunStore


@dataclass(frozen=True)
class Forgotten:
    """What was deleted: ``events`` of logs and ``rows`` of tables of ``runs`` (those that have some
    model of the user still); and ``under_way``, runs that were at work and were not touched."""

    events: int
    rows: int
    runs: list[str]
    under_way: list[str]


def forget(prefix: str, user: str, store: RunStore) -> Forgotten:
    """Delete everything that the store keeps of a user of the run that begins with ``prefix``.

    That is: their events in the feedback logs (`FeedbackLog.forget`), and so what the logs say in
    profiles; their rows in the tables of metrics by user and of what updates were told. It is done
    in every run whose dataset has the same name and place, so that tables of a study stay paired.
    The user may be named by their id in the data or, where users are under hashes, by the hash.
    Interrupted, call it again.

    What it cannot reach is said in docs/recommend.md: the source of the dataset, what models have
    learned, and exported studies.

    Raises:
        FusionlabError: a user that neither the dataset has nor any log or table of these runs; the
            log is in use elsewhere.
    """
    record = store.find(prefix)
    people = _people(record)
    records = [one for one in map(store.load, store.runs()) if _people(one) == people]
    names = [user, *(pseudonyms.of(user) for pseudonyms in _pseudonyms(records))]
    events = 0
    for file in sorted({feedback_file(one, store) for one in records}):
        if file.exists():
            with FeedbackLog(file) as log:
                events += log.forget(*names)
    rows = sum(store.forget_user(one.id, names) for one in records)
    under_way = store.clear_unfinished_tables()
    if not events and not rows:
        dataset = experiment_from(record.config).dataset.build().load()
        if dataset.interactions is not None:
            known = {*map(str, dataset.interactions.user_ids)}
            if dataset.known_as(user) not in known:
                require_known("user", user, known)
    return Forgotten(events, rows, [one.id for one in records], under_way)


def _people(record: RunRecord) -> tuple[Any, Any]:
    dataset = record.config["dataset"]
    path = dataset.get("path")
    return dataset["name"], path and Path(path).resolve()


def _pseudonyms(records: list[RunRecord]) -> list[Pseudonyms]:
    """Under every key by which these runs know their users."""
    settings = [one.config["dataset"].get("privacy") or {} for one in records]
    keyed = {privacy.hash_key: privacy for privacy in map(Privacy.model_validate, settings)}
    return [found for privacy in keyed.values() if (found := privacy.pseudonyms())]
