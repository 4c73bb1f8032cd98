"""Forget a user: in the feedback logs, and in what runs keep of single users."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fusionlab.config import experiment_from
from fusionlab.data.privacy import Privacy, Pseudonyms
from fusionlab.errors import FusionlabError
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.ids import require_known
from fusionlab.serving.run_feedback import feedback_file
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import RunStore
from fusionlab.studies.user_tables import names_user

ITEMS_ALONE = "classification"
"""The task whose runs have items in the place of users."""


@dataclass(frozen=True)
class Forgotten:
    """What was deleted: ``events`` of logs and ``rows`` of tables of ``runs`` (those that have some
    model of the user still); ``under_way``, runs that were at work and were not touched; and
    ``elsewhere``, the places, by what they are, where somebody of the same name still stands."""

    events: int
    rows: int
    runs: list[str]
    under_way: list[str]
    elsewhere: dict[str, list[str]]


def forget(prefix: str, user: str, store: RunStore) -> Forgotten:
    """Delete everything that the store keeps of a user of the run that begins with ``prefix``.

    That is: their events in the feedback logs (`FeedbackLog.forget`), and so what the logs say in
    profiles; their rows in the tables of metrics by user and of what updates were told. It is done
    in every run whose dataset has the same name and place, or the same content, so that tables of
    a study stay paired. A relative path is a place if something is there from here. All other runs
    and logs are searched, and those that name the user told: whether it is the same person, nobody
    knows but who asks. The user may be named by their id in the data or, where users are under
    hashes, by the hash. Interrupted, call it again.

    What it cannot reach is said in docs/recommend.md: the source of the dataset, what models have
    learned, and exported studies.

    Raises:
        FusionlabError: a user that neither the dataset has nor any log or table of the store; the
            log is in use elsewhere.
    """
    record = store.find(prefix)
    everyone = [one for one in map(store.load, store.runs()) if one.config["task"] != ITEMS_ALONE]
    records = _of_same_people(record, everyone)
    names = {user, *(key.of(user) for one in records if (key := _pseudonyms(one)))}
    events = 0
    for file in sorted({feedback_file(one, store) for one in records}):
        if file.exists():
            with FeedbackLog(file) as log:
                events += log.forget(*names)
    rows = sum(store.forget_user(one.id, names) for one in records)
    under_way = store.clear_unfinished_tables()
    others = [one for one in everyone if one not in records]
    elsewhere = _elsewhere(user, names, records, others, store)
    if not events and not rows and not elsewhere:
        dataset = experiment_from(record.config).dataset.build().load()
        if dataset.interactions is not None:
            known = {*map(str, dataset.interactions.user_ids)}
            if dataset.known_as(user) not in known:
                require_known("user", user, known)
    return Forgotten(events, rows, [one.id for one in records], under_way, elsewhere)


def _of_same_people(record: RunRecord, everyone: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs that share a mark with ``record``, or with one that does, and so on."""
    rest, found, marks = [*everyone], [], _marks(record)
    while near := [one for one in rest if marks & _marks(one)]:
        found += near
        rest = [one for one in rest if one not in near]
        marks = marks.union(*map(_marks, near))
    return found


def _marks(record: RunRecord) -> set[tuple[str, str]]:
    """What only runs on the same data share: their content, and their place if it is known."""
    asked, found = record.config["dataset"], {("content", str(record.dataset["fingerprint"]))}
    path = asked.get("path")
    if path is None or _is_known(path):
        found.add((asked["name"], "" if path is None else str(Path(path).resolve())))
    return found


def _is_known(path: str) -> bool:
    """Does the path say which folder it is? A relative one, only where there is such a folder."""
    return Path(path).is_absolute() or Path(path).exists()


def _elsewhere(
    user: str, names: set[str], records: list[RunRecord], others: list[RunRecord], store: RunStore
) -> dict[str, list[str]]:
    """Other runs by their datasets, and logs without a run, that name the user or tell nothing."""
    found: dict[str, list[str]] = {}
    for one in others:
        place = _data_of(one)
        try:
            key = _pseudonyms(one)
            names = names if key is None else names | {key.of(user)}
            there = names_user(store.folder(one.id), names) or _is_in(
                feedback_file(one, store), names
            )
        except FusionlabError as error:
            place, there = f"{place}, which cannot be searched ({error})", True
        if there:
            found.setdefault(place, []).append(one.id)
    logs = {*(store.root / "feedback").glob("*.sqlite")}
    for file in sorted(logs - {feedback_file(one, store) for one in [*records, *others]}):
        if _is_in(file, names):
            found[f"{file}, a log whose runs are gone: delete it"] = []
    return found


def _is_in(file: Path, names: set[str]) -> bool:
    """Is there an event under one of the names?"""
    if not file.exists():
        return False
    with FeedbackLog(file) as log:
        return any(log.events(name) for name in names)


def _data_of(record: RunRecord) -> str:
    asked = record.config["dataset"]
    path = asked.get("path")
    if path is None:
        return f"dataset {asked['name']}"
    return f"dataset {asked['name']} at {path}" + (
        "" if _is_known(path) else " (not found from here)"
    )


def _pseudonyms(record: RunRecord) -> Pseudonyms | None:
    """Under the key by which a run knows its users; FusionlabError: it is not there any more."""
    privacy = Privacy.model_validate(record.config["dataset"].get("privacy") or {})
    found = privacy.pseudonyms()
    if found and record.dataset.get("user_key", found.fingerprint) != found.fingerprint:
        raise FusionlabError(
            f"run {record.id[:12]}: found another key in {privacy.hash_key}, expected the one that "
            "the run knows its users by; put it back"
        )
    return found
