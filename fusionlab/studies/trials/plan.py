"""Plan the searches of a study's rows, and refuse what would touch none of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.errors import ConfigError, one_of
from fusionlab.studies.trials.search import Search, Tuned
from fusionlab.studies.trials.space import declared, options, space_of, under
from fusionlab.tuning import Tuning

Load = Callable[[Experiment], Dataset]
Rows = Sequence[Mapping[str, Experiment]]
"""The variants of each row, by label, with the seed of the trials."""


def plan_searches(
    rows: Rows, fixed: Sequence[Collection[str]], tuning: Tuning, load: Load
) -> list[Search]:
    """The search of every row; ``fixed`` are the keys that make each what it is.

    Raises:
        ConfigError: a space that touches no row, that leaves a row no trial for each of its
            variants, or whose values an option does not take.
    """
    if any(one.transfer is not None for variants in rows for one in variants.values()):
        # A trial would need a source trained anew, which opens the test labels of its catalogue.
        problem = "found beside a transfer; expected rows that are trained from the start"
        raise ConfigError([(("tune",), problem)])
    searches = []
    for variants, makes in zip(rows, fixed, strict=True):
        found = []
        for label, experiment in variants.items():
            dataset = load(experiment)
            space = space_of(experiment, dataset, tuning.spaces, makes)
            found.append(Tuned(label, experiment, dataset.fingerprint, space))
        searches.append(Search(_common(list(variants)), tuple(found), tuning))
    _check_touched(searches, rows, fixed, tuning)
    for search in searches:
        if tuning.trials is not None and tuning.trials < len(search.variants):
            problem = f"found {tuning.trials}, expected at least {len(search.variants)}: the row"
            raise ConfigError(
                [(("tune", "trials"), f"{problem} {search.label!r} has so many variants")]
            )
    return searches


def fixed_by(axes: Mapping[str, Sequence[Any]]) -> frozenset[str]:
    """The keys that tell the rows of these axes apart: ``fusion`` and, where a value of it sets
    one, ``fusion.gate``."""
    values = [(key, value) for key, some in axes.items() for value in some]
    inside = (f"{key}.{name}" for key, one in values if isinstance(one, Mapping) for name in one)
    return frozenset([*axes, *inside])


def _common(labels: Sequence[str]) -> str:
    """``best single modality`` of ``best single modality (text)`` and ``... (image)``."""
    return labels[0] if len(labels) == 1 else labels[0].partition(" (")[0]


def _check_touched(
    searches: Sequence[Search], rows: Rows, fixed: Sequence[Collection[str]], tuning: Tuning
) -> None:
    experiments = [experiment for variants in rows for experiment in variants.values()]
    tuned = {key for search in searches for one in search.variants for key in one.space}
    declares = {key for experiment in experiments for key in declared(experiment)}
    for key, space in tuning.spaces.items():
        if key in tuned or (space is None and any(under(one, [key]) for one in declares)):
            continue
        known = {name for experiment in experiments for name in options(experiment)}
        if space is None:
            problem = one_of(key, declares)
        elif key in known and any(key in makes for makes in fixed):
            problem = "found an axis of the study, expected an option that rows do not differ in"
        elif key in known:
            problem = "changes nothing in any row; expected an option that some row reads"
        else:
            problem = one_of(key, known)
        raise ConfigError([(("tune", "spaces", key), problem)])
