"""The section ``tune`` of a study: the budget that every row gets, and how it is spent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from fusionlab.schema import Seed
from fusionlab.sections import VALIDATION_ALONE, Options
from fusionlab.spaces import Space, SpacesByKey


class Tuning(Options):
    """The same search for every row, on validation alone. A trial is a training run."""

    aside = VALIDATION_ALONE

    trials: PositiveInt | None = Field(
        None, description="of each row; its options as they are written are the first"
    )
    seconds: PositiveFloat | None = Field(
        None,
        description="of each row: no trial begins when its trials have taken so long. What comes "
        "out depends on the machine then",
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="of values: a tree-structured Parzen estimator, or blindly"
    )
    pruner: Literal["median", "none"] = Field(
        "median", description="of trials: stop one that never was as good as the median was by then"
    )
    spaces: Annotated[dict[str, Space | None], SpacesByKey()] = Field(
        default_factory=dict,
        description="by dotted key, beside or in place of what parts declare; null: leave it alone",
    )
    seed: Seed = Field(0, description="of the values that are drawn")
    storage: str | None = Field(
        None,
        description="URL of a database that is to hold the trials for Optuna's tools too; default: "
        "a journal file in the run store",
    )

    @model_validator(mode="after")
    def _has_a_budget(self) -> Tuning:
        if self.trials is None and self.seconds is None:
            raise ValueError("expected a budget: trials, seconds or both")
        return self
