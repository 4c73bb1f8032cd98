"""The situation in which a list is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from fusionlab.errors import FusionlabError, one_of
from fusionlab.recommenders.contract import Recommender
from fusionlab.studies.unused import adaptive


def situation_asked(model: Recommender, context: Mapping[str, str]) -> Tensor | None:
    """The situation (n,) of ``context``, values by column; None where nothing is given.

    Columns that are not given are unknown, as are values that train clicks do not have.

    Raises:
        FusionlabError: a column that the model is not told of, or a model that adapts to none.
    """
    if not context:
        return None
    situations = model.context.situations
    if situations is None or not situations.reads:
        raise FusionlabError(
            f"context: found {', '.join(context)}, but this run is told of no context; expected a "
            "dataset with the option `context`"
        )
    if model.situation is None:
        raise FusionlabError(
            f"context: this run of recommender {model.name!r} weighs views alike in every "
            f"situation; strategies that adapt: {', '.join(adaptive())}"
        )
    for name in context:
        if name not in situations.reads:
            raise FusionlabError(f"context: {one_of(name, situations.reads)}")
    return situations.code(context)


def notes_on(model: Recommender, context: Mapping[str, str]) -> list[str]:
    """What a reader of a list must know of its situation, a line each."""
    situations = model.context.situations
    if model.situation is None or situations is None:
        return []
    notes = [
        f"context {name}={value}: no train click has it, so it is taken as unknown"
        for name, value in context.items()
        if value not in situations.values[name]
    ]
    left = [name for name in situations.reads if name not in context]
    if left:
        notes.append(f"context {', '.join(left)} not given: taken as unknown")
    return notes
