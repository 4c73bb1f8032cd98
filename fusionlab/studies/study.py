"""A study: one base experiment varied along axes, over seeds, beside its controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fusionlab.config import Experiment, Study
from fusionlab.data.dataset import Dataset
from fusionlab.data.fingerprint import fingerprint
from fusionlab.errors import ConfigError, FusionlabError, one_of
from fusionlab.evaluation.classification import CLASS_FIGURES
from fusionlab.evaluation.metrics import CATALOGUE_METRICS
from fusionlab.fusion.contract import Fusion
from fusionlab.registry import family
from fusionlab.studies.checks import check, check_groups, measured
from fusionlab.studies.controls import Control
from fusionlab.studies.curves import AREAS
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.design import BASE, variants
from fusionlab.studies.identity import id_of, run_id
from fusionlab.studies.record import Kind, Row
from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.plan import fixed_by, plan_searches
from fusionlab.studies.trials.records import Ledger
from fusionlab.studies.trials.search import Search

Load = Callable[[Experiment], Dataset]


@dataclass(frozen=True)
class Variant:
    """One configuration and its runs, a seed each: (id, experiment)."""

    label: str
    runs: tuple[tuple[str, Experiment], ...]


@dataclass(frozen=True)
class PlannedRow:
    """A row before it has run. Of several variants the best on validation is shown."""

    kind: Kind
    variants: tuple[Variant, ...]
    level: str = ""
    additive: bool = False
    search: Search | None = None
    """How the row is tuned before it runs; None: it is not, or it has been (see `ledger`)."""
    ledger: Ledger | None = None


@dataclass(frozen=True)
class Plan:
    """Everything a study will run. ``reference`` is the label of the row that others are tested
    against, where it is not to be the strongest control."""

    rows: tuple[PlannedRow, ...]
    metrics: tuple[str, ...]
    main: str
    reference: str | None = None

    @property
    def runs(self) -> dict[str, Experiment]:
        """All runs by id; a configuration that stands in two rows runs once. What is to be tuned
        runs when it is `tuned`."""
        return {
            run: experiment
            for row in self.rows
            if row.search is None
            for variant in row.variants
            for run, experiment in variant.runs
        }

    @property
    def searches(self) -> list[Search]:
        """Of the rows that are to be tuned."""
        return [row.search for row in self.rows if row.search is not None]

    def tuned(self, store: RunStore) -> Plan:
        """The plan with what the searches found in each row; all trials must be in the store."""
        return replace(self, rows=tuple(_tuned(row, store) for row in self.rows))

    def collect(self, store: RunStore) -> list[Row]:
        """The finished rows; every run must be in the store."""
        return [self._collect(row, store) for row in self.rows]

    def _collect(self, row: PlannedRow, store: RunStore) -> Row:
        finished = [
            Row(
                variant.label,
                row.kind,
                [store.load(run) for run, _ in variant.runs],
                row.level,
                row.additive,
                row.ledger,
            )
            for variant in row.variants
        ]
        return max(finished, key=self._on_validation)

    def _on_validation(self, row: Row) -> float:
        return sum(record.metrics["valid"][self.main] for record in row.records)


def _tuned(row: PlannedRow, store: RunStore) -> PlannedRow:
    """The row with the variant and the options that are best on validation."""
    if row.search is None:
        return row
    ledger = row.search.ledger(store)
    try:
        best = ledger.best
    except FusionlabError as error:
        raise FusionlabError(f"row {row.search.label!r}: {error}") from None
    fingerprint = row.search.chosen(best).fingerprint
    variant = next(one for one in row.variants if one.label == best.variant)
    changed = [experiment.varied(best.changes) for _, experiment in variant.runs]
    runs = tuple((run_id(one, fingerprint), one) for one in changed)
    return replace(row, variants=(Variant(variant.label, runs),), search=None, ledger=ledger)


def plan(study: Study, load: Load = load_dataset) -> Plan:
    """Resolve axes, controls and seeds into runs; all is validated before anything runs.

    ``load`` reads the dataset of an experiment; raw media are encoded in it.
    """
    rows = [_strategy(study, label, experiment, load) for label, experiment in variants(study)]
    makes = fixed_by(study.axes).union(*study.drop.values())
    fixed = [makes] * len(rows)
    base = study.experiment.varied({"transfer": None})  # controls know this catalogue alone
    for part in study.controls:
        control: Control = part.build()
        changed = control.variants(base, load(base))
        if base.task == "classification" and any("recommender" in one for one in changed.values()):
            raise ConfigError(
                [(("controls",), f"found {part.name!r}, a recommender, in a classification study")]
            )
        experiments = {label: base.varied(changes) for label, changes in changed.items()}
        if experiments:
            rows.append(PlannedRow(control.kind, _over_seeds(study, experiments, load)))
            fixed.append(fixed_by(study.axes).union(*changed.values()))
    main = study.report.main or base.selecting
    metrics = study.report.metrics or _columns(base, main)
    reference = study.report.reference or (BASE if study.design == "one_at_a_time" else None)
    planned = Plan(tuple(rows), tuple(dict.fromkeys([*metrics, main])), main, reference)
    _check(planned, study, load)
    if study.tune is None:
        return planned
    first = [{one.label: one.runs[0][1] for one in row.variants} for row in rows]
    searches = plan_searches(first, fixed, study.tune, load)
    tuned = zip(rows, searches, strict=True)
    return replace(planned, rows=tuple(replace(row, search=search) for row, search in tuned))


def _check(planned: Plan, study: Study, load: Load) -> None:
    """Everything that would fail after hours of running, now."""
    _check_report(planned, study)
    if len(set(study.seeds)) < len(study.seeds):
        raise ConfigError([(("seeds",), f"found {list(study.seeds)}, expected each seed once")])
    labels = [variant.label for row in planned.rows for variant in row.variants]
    for row in reversed(planned.rows):  # a control that is told twice is not the axes' fault
        key = "axes" if row.kind == "strategy" else "controls"
        for label in (variant.label for variant in row.variants):
            if labels.count(label) > 1:
                raise ConfigError([((key,), f"found two rows {label!r}, expected different rows")])
    if planned.reference is not None and planned.reference not in labels:
        raise ConfigError([(("report", "reference"), one_of(planned.reference, labels))])
    asked: dict[tuple[str, ...], str] = {("report", "main"): planned.main}
    asked |= {("report", "metrics", str(n)): name for n, name in enumerate(study.report.metrics)}
    judged: dict[str, str] = {}
    for variant in (variant for row in planned.rows for variant in row.variants):
        experiment = variant.runs[0][1]
        dataset = load(experiment)
        check(experiment, dataset)
        if not judged:  # all rows are judged on the same clicks
            check_groups(asked, study.experiment, dataset)
        judged[_judged_on(dataset)] = variant.label
    if len(judged) > 1:
        rows = " and ".join(map(repr, judged.values()))
        problem = f"found rows judged on different users, items or splits ({rows})"
        raise ConfigError([(("axes",), f"{problem}, expected one set: make each a study")])


def _check_report(planned: Plan, study: Study) -> None:
    """The metrics that a report asks for must be measured."""
    base = study.experiment
    if study.report.main is not None and planned.main not in measured(base):
        raise ConfigError([(("report", "main"), one_of(planned.main, measured(base)))])
    shown = measured(base) + (CLASS_FIGURES if base.task == "classification" else [])
    for place, metric in enumerate(study.report.metrics):
        if metric not in shown and metric.split("@")[0] not in CATALOGUE_METRICS:
            raise ConfigError([(("report", "metrics", str(place)), one_of(metric, shown))])
    for row in planned.rows:
        label, experiment = row.variants[0].label, row.variants[0].runs[0][1]
        there = measured(experiment)
        lacking = [one for one in planned.metrics if one in measured(base) and one not in there]
        if lacking:
            problem = f"found the row {label!r}, which does not measure {', '.join(lacking)}"
            raise ConfigError([(("axes",), f"{problem}; expected rows that are judged alike")])


def _judged_on(dataset: Dataset) -> str:
    """What rows must share to stand in one table: the clicks, or the labelled items."""
    if dataset.interactions is not None:
        clicks = dataset.interactions
        return fingerprint([clicks.train.indptr, clicks.train.items, clicks.valid.items])
    assert dataset.labels is not None
    return fingerprint([dataset.labels.train.items, dataset.labels.valid.items])


def encoding_experiments(study: Study) -> list[Experiment]:
    """One experiment for each dataset and choice of encoders that the axes make, sources too."""
    grid = [experiment for _, experiment in variants(study)]
    wanted = [*grid, *(one.source for one in grid if one.source is not None)]
    found = {one.model_dump_json(include={"dataset", "encoders"}): one for one in wanted}
    return list(found.values())


def _columns(base: Experiment, main: str) -> tuple[str, ...]:
    if base.task == "classification":
        areas = [f"accuracy {area}" for area in AREAS if f"accuracy {area}" in measured(base)]
        return tuple(dict.fromkeys(("macro_f1", *areas, main)))
    longest = max(base.evaluation.cutoffs)
    areas = [f"{base.selecting} {area}" for area in AREAS]
    usual = dict.fromkeys((f"recall@{longest}", f"ndcg@{longest}", *areas, main))
    return tuple(metric for metric in usual if metric in measured(base))


def _strategy(study: Study, label: str, experiment: Experiment, load: Load) -> PlannedRow:
    fusion: type[Fusion] = family("fusion")[experiment.fusion.name]
    seeded = _over_seeds(study, {label: experiment}, load)
    return PlannedRow("strategy", seeded, str(fusion.level), fusion.additive)


def _over_seeds(
    study: Study, experiments: Mapping[str, Experiment], load: Load
) -> tuple[Variant, ...]:
    found = []
    for label, experiment in experiments.items():
        dataset = load(experiment)
        seeded = [experiment.varied({"seed": seed}) for seed in study.seeds]
        found.append(Variant(label, tuple((id_of(one, dataset), one) for one in seeded)))
    return tuple(found)
