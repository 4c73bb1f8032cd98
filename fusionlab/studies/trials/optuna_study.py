"""A row's finished trials as Optuna knows them: to draw the next values, and to prune.

Optuna's study is made anew from the records for every trial, so nothing but the records, the seed
of the trial and Optuna's version decides what is tried.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from fusionlab.config import Experiment
from fusionlab.spaces import Choice, Range, Space
from fusionlab.studies.trials.records import Trial
from fusionlab.studies.trials.search import Search
from fusionlab.studies.trials.space import is_whole, value_at
from fusionlab.training.loop import Stop

optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells of each new study
VARIANT = "variant"
STARTUP = 5
"""No trial is given up before so many are complete (Optuna's default)."""
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "diverged": TrialState.PRUNED,  # without values: TPE takes it for worse than all that have some
}


def propose(search: Search, earlier: Sequence[Trial]) -> tuple[str, dict[str, Any]]:
    """The next trial: which variant, and what is changed of it, by dotted key."""
    if len(earlier) < len(search.variants):
        return search.variants[len(earlier)].label, {}
    number = len(earlier)
    study = optuna_study(search, earlier, _sampler(search, search.seed(number)))
    trial = study.ask()
    labels = [one.label for one in search.variants]
    label = labels[0] if len(labels) == 1 else trial.suggest_categorical(VARIANT, labels)
    place = labels.index(label)
    changes = {}
    for key, space in search.space(place, earlier).items():
        changes[key] = _drawn(trial, key, space, _distribution(search, place, key, space))
    return label, changes


def stopper(search: Search, earlier: Sequence[Trial], experiment: Experiment) -> Stop | None:
    """What says of a running trial whether to give it up; None: nothing does.

    It goes where it never was as good as the median of the complete trials was at the same epoch.
    Only trials before it count, at least five of them, and nobody is given up in the first tenth of
    his epochs. Median stopping rule: Golovin et al. 2017, Google Vizier.
    """
    complete = sum(one.outcome == "complete" for one in earlier)
    if search.tuning.pruner == "none" or complete < STARTUP:
        return None
    warm_up = experiment.training.epochs // 10
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=warm_up)
    study = optuna_study(search, earlier)

    def stop(history: Sequence[Mapping[str, float]]) -> bool:
        steps = _steps(history, experiment.selecting)
        running = optuna.trial.create_trial(state=TrialState.RUNNING, intermediate_values=steps)
        return bool(pruner.prune(study, running))  # of NumPy, which a checkpoint cannot hold

    return stop


def optuna_study(
    search: Search, trials: Sequence[Trial], sampler: optuna.samplers.BaseSampler | None = None
) -> optuna.Study:
    """A study in memory that holds these trials."""
    study = optuna.create_study(
        direction="maximize",
        sampler=sampler or optuna.samplers.RandomSampler(seed=0),
        pruner=optuna.pruners.NopPruner(),
    )
    study.add_trials([frozen(search, one, trials) for one in trials])
    return study


def frozen(search: Search, trial: Trial, trials: Sequence[Trial]) -> FrozenTrial:
    """A finished trial in Optuna's words. Of a variant as it is written Optuna hears what stands
    inside the space."""
    labels = [one.label for one in search.variants]
    place = labels.index(trial.variant)
    experiment = search.variants[place].experiment
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    if len(labels) > 1:
        params[VARIANT] = trial.variant
        distributions[VARIANT] = CategoricalDistribution(labels)
    for key, space in search.space(place, trials).items():
        value = trial.changes[key] if key in trial.changes else value_at(experiment, key)
        if space.holds(value):
            params[key] = _to_optuna(space, value)
            distributions[key] = _distribution(search, place, key, space)
    steps = _steps(trial.history, experiment.selecting) if trial.outcome != "diverged" else {}
    return optuna.trial.create_trial(
        state=STATES[trial.outcome],
        value=trial.value,
        params=params,
        distributions=distributions,
        intermediate_values=steps,
        user_attrs={"outcome": trial.outcome, "seconds": trial.seconds},
    )


def _sampler(search: Search, seed: int) -> optuna.samplers.BaseSampler:
    if search.tuning.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # One option at a time: variants of a row need not have the same options.
    return optuna.samplers.TPESampler(seed=seed, multivariate=False, constant_liar=False)


def _distribution(search: Search, place: int, key: str, space: Space) -> BaseDistribution:
    """The space of an option in Optuna's words."""
    if isinstance(space, Choice):
        return CategoricalDistribution([_to_optuna(space, one) for one in space.choices])
    if is_whole(search.variants[place].experiment, key):
        return IntDistribution(int(space.low), int(space.high), log=space.log)
    return FloatDistribution(space.low, space.high, log=space.log)


def _to_optuna(space: Space, value: Any) -> Any:
    """Optuna's choices are words and numbers; anything else is written as JSON."""
    plain = isinstance(space, Range) or value is None or isinstance(value, bool | int | float | str)
    return value if plain else json.dumps(value)


def _drawn(trial: optuna.Trial, key: str, space: Space, distribution: BaseDistribution) -> Any:
    if isinstance(space, Choice):
        words = [_to_optuna(space, one) for one in space.choices]
        drawn = trial.suggest_categorical(key, words)
        # 1 and True are equal, and two
        return next(one for one in space.choices if repr(_to_optuna(space, one)) == repr(drawn))
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, log=space.log)
    return trial.suggest_float(key, space.low, space.high, log=space.log)


def _steps(history: Sequence[Mapping[str, float]], select: str) -> dict[int, float]:
    """Values on validation by epoch."""
    return {int(entry["epoch"]): entry[select] for entry in history if select in entry}
