"""What `faults.py` does to: the commands that write, on a world of 60 users and 40 items.

Each does its work in a process of its own, forked from one that has imported everything: it starts
in milliseconds, and is as real a process to kill as any.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fusionlab.cli import main

UNEXPECTED = 70
"""Exit status where an operation ends with a traceback."""
WORLD = "{name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0}"
EXPERIMENT = f"""
dataset: {WORLD}
dim: 8
training: {{epochs: 8, batch_size: 128, learning_rate: 0.01, patience: 12, signals_every: 0}}
evaluation: {{cutoffs: [5]}}
"""
ENCODED = """
dataset: {name: synthetic, users: 60, items: 40, clicks: 12, features: rendered}
encoders:
  text: {of: text, encoder: {name: tfidf, width: 8, min_items: 1}, batch_size: 1}
  image: {of: image, encoder: {name: pixels, side: 4}, store: fp16, batch_size: 1}
"""
STUDY = f"""
title: tiny
experiment:
  dataset: {WORLD}
  dim: 8
  training: {{epochs: 3, batch_size: 128, learning_rate: 0.01, signals_every: 0}}
  evaluation: {{cutoffs: [5]}}
axes: {{fusion: [concat, sum]}}
seeds: [0, 1]
controls: [popularity]
"""
EVENTS = 12


def forked(work: Callable[[], Any], out: Path) -> int:
    """Start a process that does ``work`` and then ends: 0; 1 where the command line says what is
    wrong; 70 where it ends with a traceback. What it prints is in ``out``."""
    process = os.fork()
    if process:
        return process
    status = UNEXPECTED
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def ended(process: int) -> int:
    """The exit status of a process that was `forked`; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def asked(work: Callable[[], Any], aside: Path) -> Any:
    """What ``work`` returns in a process of its own; FusionlabError and all else comes as text."""
    answer = aside / "answer"

    def tell() -> None:
        answer.write_bytes(pickle.dumps(work()))

    answer.unlink(missing_ok=True)
    status = ended(forked(lambda: as_a_command(tell), aside / "asked"))
    if status:
        raise RuntimeError(f"status {status}: {(aside / 'asked').read_text()[-2000:]}")
    return pickle.loads(answer.read_bytes())


def as_a_command(work: Callable[[], None]) -> None:
    """As the command line does: what the user can mend is a message and status 1."""
    from fusionlab.errors import FusionlabError

    try:
        work()
    except FusionlabError as error:
        print(f"Error: {error}")
        raise SystemExit(1) from None


@dataclass(frozen=True)
class Place:
    """Where a try happens: the store of ``runs``, which may be a disk of its own, and a folder
    ``aside`` for configurations and what processes say."""

    runs: Path
    aside: Path


class Operation:
    """A command that writes. What it has ``told`` is acknowledged and must be ``present`` ever
    after; ``result`` is what comes out when it is done, the same whatever happened on the way."""

    name: str
    batches = "training.batch_size"
    """What a message on too little memory names; "" where there is no batch."""
    share = 4
    """Of the kills: more where a try is short."""

    def prepare(self, place: Place) -> None:
        """Put there what must be there before; in a process of its own."""

    def work(self, place: Place) -> None:
        """The command."""
        raise NotImplementedError

    def present(self, place: Place) -> set[str]:
        """Names and digests of what is finished in the store."""
        return {
            f"{file.parent.name} {digest(file.parent)}" for file in place.runs.glob("*/record.json")
        }

    def told(self, place: Place) -> set[str]:
        """What was acknowledged so far: what is in the store under its final name."""
        return self.present(place)

    def result(self, place: Place) -> str:
        """A digest of what came out, seconds and dates left out; reads it back as others do."""
        raise NotImplementedError

    def files(self, place: Place) -> list[Path]:
        """Finished files that a fault may change."""
        return sorted(f for r in place.runs.glob("*/record.json") for f in r.parent.iterdir())

    def record(self, place: Place) -> Path:
        """The file that says that it is finished."""
        return max(place.runs.glob("*/record.json"), key=lambda file: file.stat().st_mtime_ns)


def digest(folder: Path) -> str:
    """Of all files in a folder."""
    found = sha256()
    for file in sorted(folder.iterdir()):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


def written(place: Place, text: str) -> str:
    """The path of a configuration."""
    file = place.aside / "asked.yaml"
    file.write_text(text)
    return str(file)


def of_run(place: Place, run: str) -> list[Any]:
    """What a run says, and the bytes of its model and tables, read as others read them."""
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trained import load_trained

    record = load_trained(run, RunStore(place.runs)).record
    history = [{k: v for k, v in one.items() if k != "seconds"} for one in record.history]
    tables = [record.per_user().write_csv(), record.words().write_csv()]
    model = sha256((place.runs / run / "model.safetensors").read_bytes()).hexdigest()
    return [run, record.metrics, history, record.warnings, tables, model]


class Encode(Operation):
    """`fusionlab encode`: three columns of rendered media."""

    name, batches = "encode", "encoders.text.batch_size"
    share = 2

    def work(self, place: Place) -> None:
        """In this process: no worker decodes."""
        config = written(place, ENCODED)
        main(["encode", config, "--workers", "0", "--runs", str(place.runs)])

    def present(self, place: Place) -> set[str]:
        """Finished columns, whatever is left over from their making not counted."""
        return {
            f"{file.parent.name} {digest_of(file.parent, ('values.npy', 'mask.npy', 'card.json'))}"
            for file in place.runs.glob("features/*/*/card.json")
            if file.parent.suffix != ".partial"
        }

    def result(self, place: Place) -> str:
        """Values, masks and fates, read as a run reads them."""
        from fusionlab.config import load_experiment
        from fusionlab.data.fingerprint import fingerprint
        from fusionlab.studies.datasets import load_dataset
        from fusionlab.studies.store import RunStore

        store = RunStore(place.runs).features
        features = load_dataset(load_experiment(Path(written(place, ENCODED))), store).features
        reports = sorted(f.read_text() for f in place.runs.glob("features/*/*/report.csv"))
        return fingerprint([features, *reports])

    def files(self, place: Place) -> list[Path]:
        """Of finished columns."""
        found = place.runs.glob("features/*/*/*")
        return sorted(f for f in found if f.parent.suffix != ".partial" and f.is_file())

    def record(self, place: Place) -> Path:
        """The card of a column."""
        return min(place.runs.glob("features/*/*/card.json"))


def digest_of(folder: Path, names: tuple[str, ...]) -> str:
    """Of some files in a folder."""
    return sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()


class Train(Operation):
    """`fusionlab run`: 8 epochs, a checkpoint after each."""

    name = "train"

    def work(self, place: Place) -> None:
        """The command."""
        main(["run", written(place, EXPERIMENT), "--runs", str(place.runs)])

    def result(self, place: Place) -> str:
        """The run, its model loaded."""
        (run,) = (file.parent.name for file in place.runs.glob("*/record.json"))
        return repr(of_run(place, run))


class Study(Operation):
    """`fusionlab study` up to its table: six runs. The figures, seconds of matplotlib that write
    whole files with one function, are left out."""

    name = "study"

    def work(self, place: Place) -> None:
        """Runs, then the table."""
        as_a_command(lambda: self._study(place))

    def _study(self, place: Place) -> None:
        from fusionlab.config import load_study
        from fusionlab.data.disk import write_whole
        from fusionlab.reporting.quality import quality_table
        from fusionlab.reporting.render import to_csv
        from fusionlab.studies.executor import execute
        from fusionlab.studies.store import RunStore
        from fusionlab.studies.study import plan

        store, planned = RunStore(place.runs), plan(load_study(Path(written(place, STUDY))))
        execute(planned.runs, store, on_run=lambda run: None)
        table = quality_table(planned.collect(store), metrics=planned.metrics, main=planned.main)
        write_whole(place.aside / "quality.csv", to_csv(table).encode())

    def result(self, place: Place) -> str:
        """The table, and every run of it."""
        runs = sorted(file.parent.name for file in place.runs.glob("*/record.json"))
        found = [of_run(place, run) for run in runs]
        return repr([(place.aside / "quality.csv").read_text(), found])


class Tune(Operation):
    """`fusionlab tune`: four trials."""

    name = "tune"
    share = 3

    def work(self, place: Place) -> None:
        """The command."""
        space = "training.learning_rate={low: 0.001, high: 0.1, log: true}"
        how = ("--trials", "4", "--sampler", "random", "--space", space)
        main(["tune", written(place, EXPERIMENT), *how, "--runs", str(place.runs)])

    def present(self, place: Place) -> set[str]:
        """Finished trials."""
        return {
            f"{file.parent} {digest(file.parent)}"
            for file in place.runs.glob("searches/*/*/trial.json")
        }

    def result(self, place: Place) -> str:
        """The trials, seconds and memory left out."""
        from fusionlab.studies.trials.records import TrialFolder

        (folder,) = {file.parent.parent for file in place.runs.glob("searches/*/*/trial.json")}
        found = []
        for one in TrialFolder(folder).first():
            history = [{k: v for k, v in e.items() if k != "seconds"} for e in one.history]
            found.append([one.number, one.changes, one.outcome, one.value, history])
        return repr(found)

    def files(self, place: Place) -> list[Path]:
        """Records of trials; Optuna's own journal beside them is written and never read."""
        return sorted(place.runs.glob("searches/*/*/trial.json"))

    def record(self, place: Place) -> Path:
        """The last trial."""
        return self.files(place)[-1]


class Update(Operation):
    """`fusionlab update`: a run learns what its feedback log says."""

    name = "update"
    share = 6

    def prepare(self, place: Place) -> None:
        """A run with a log."""
        from fusionlab.serving.events import Event
        from fusionlab.serving.feedback import FeedbackLog
        from fusionlab.studies.store import RunStore

        with suppress(SystemExit):
            main(["run", written(place, EXPERIMENT), "--runs", str(place.runs)])
        (run,) = RunStore(place.runs).runs()
        (place.aside / "before").write_text(run)
        people = _people(place, run)
        with FeedbackLog(place.runs / "feedback" / f"{run}.sqlite") as log:
            log.add(*(Event("click", user, item, 1.0 + n) for n, (user, item) in enumerate(people)))

    def work(self, place: Place) -> None:
        """Enough epochs to be killed in; the new model is kept, be it worse or not."""
        from fusionlab.studies import update

        update.worth = lambda *_: 1.0
        run = (place.aside / "before").read_text()
        main(["update", run, "--epochs", "8", "--runs", str(place.runs)])

    def result(self, place: Place) -> str:
        """Both runs."""
        return repr(
            [of_run(place, f.parent.name) for f in sorted(place.runs.glob("*/record.json"))]
        )


class Feedback(Operation):
    """`fusionlab feedback RUN add`: event after event; "logged" acknowledges one."""

    name, batches = "feedback", ""
    share = 5

    def prepare(self, place: Place) -> None:
        """A run, and whom and what its events name."""
        with suppress(SystemExit):
            popular = "recommender={name: popularity}"
            main(["run", written(place, EXPERIMENT), popular, "--runs", str(place.runs)])
        (run,) = (file.parent.name for file in place.runs.glob("*/record.json"))
        people = _people(place, run)
        (place.aside / "before").write_text(json.dumps([run, people[:EVENTS]]))

    def work(self, place: Place) -> None:
        """Go on after what was said to be logged."""
        run, people = json.loads((place.aside / "before").read_text())
        said = place.aside / "said"
        with said.open("ab", buffering=0) as tell:
            for n in range(len(said.read_bytes().splitlines()), len(people)):
                user, item = people[n]
                where = ("--user", user, "--item", item, "--kind", "click", "--list", str(n))
                runs = ("--time", str(n), "--runs", str(place.runs))
                try:
                    main(["feedback", run, "add", *where, *runs])
                except SystemExit as end:
                    if end.code:
                        raise
                tell.write(b"%d\n" % n)

    def present(self, place: Place) -> set[str]:
        """Events in the log, one written twice (and said once) counted once."""
        return set(asked(lambda: self._events(place), place.aside))

    def _events(self, place: Place) -> list[str]:
        from fusionlab.serving.feedback import FeedbackLog

        files = sorted((place.runs / "feedback").glob("*.sqlite"))
        found = []
        for file in files:
            with FeedbackLog(file) as log:
                found += [repr(event) for event in log.events()]
        return found

    def told(self, place: Place) -> set[str]:
        """The events that "logged" was printed of."""
        from fusionlab.serving.events import Event

        said = place.aside / "said"
        count = len(said.read_bytes().splitlines()) if said.exists() else 0
        people = json.loads((place.aside / "before").read_text())[1][:count]
        return {
            repr(Event("click", u, i, float(n), None, str(n))) for n, (u, i) in enumerate(people)
        }

    def result(self, place: Place) -> str:
        """The events."""
        return repr(sorted(set(self._events(place))))

    def files(self, place: Place) -> list[Path]:
        """The log."""
        return sorted((place.runs / "feedback").glob("*.sqlite"))

    def record(self, place: Place) -> Path:
        """The log."""
        return self.files(place)[0]


def _people(place: Place, run: str) -> list[tuple[str, str]]:
    """Pairs of user and item that are no train clicks."""
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trained import load_trained

    dataset = load_trained(run, RunStore(place.runs)).dataset
    clicks = dataset.interactions
    assert clicks is not None
    known = set(zip(clicks.train.users.tolist(), clicks.train.items.tolist(), strict=True))
    users, items = clicks.user_ids.to_list(), dataset.item_ids.to_list()
    pairs = [(u, (7 * u + 3) % len(items)) for u in range(len(users))]
    return [(str(users[u]), str(items[i])) for u, i in pairs if (u, i) not in known]


OPERATIONS: dict[str, Operation] = {
    one.name: one for one in (Encode(), Train(), Study(), Tune(), Update(), Feedback())
}
"""Here a new command that writes takes its place: the table gets a column of it."""


@dataclass(frozen=True)
class Undisturbed:
    """An operation that nothing happened to: how long it took, what came out, and the
    bytes that it added to the store."""

    template: Place
    seconds: float
    result: str
    size: int


def undisturbed(operation: Operation, root: Path) -> Undisturbed:
    """Prepare an operation and do it once, in peace."""
    template = fresh(root / "template")
    asked(lambda: operation.prepare(template), template.aside)
    place = copied(template, root / "peace")
    started = time.perf_counter()
    status = ended(forked(lambda: operation.work(place), place.aside / "out"))
    seconds = time.perf_counter() - started
    assert status == 0, (place.aside / "out").read_text()
    size = space_of(place.runs) - space_of(template.runs)
    found = asked(lambda: operation.result(place), place.aside)
    return Undisturbed(template, seconds, found, size)


def space_of(folder: Path) -> int:
    """Bytes of the pages of all files in a folder."""
    sizes = [f.stat().st_size for f in folder.rglob("*") if f.is_file()]
    return sum(-(-size // 4096) * 4096 for size in sizes)


def fresh(root: Path) -> Place:
    """An empty place."""
    place = Place(root / "runs", root / "aside")
    for folder in (place.runs, place.aside):
        folder.mkdir(parents=True)
    return place


def copied(template: Place, root: Path) -> Place:
    """A place like another."""
    shutil.rmtree(root, ignore_errors=True)
    place = Place(root / "runs", root / "aside")
    shutil.copytree(template.runs, place.runs)
    shutil.copytree(template.aside, place.aside)
    return place


def stopped(process: int, how: signal.Signals) -> int:
    """End a process by a signal; its exit status, as `ended` has it."""
    os.kill(process, how)
    return ended(process)
