"""The commands that write: what each does, what it has acknowledged, and what comes out."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from faults_experiments import ENCODED, EXPERIMENT, STUDY, of_run, written
from faults_operations import Operation, Place, digest
from faults_processes import as_a_command, asked

from fusionlab.cli import main

EVENTS = 12


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
