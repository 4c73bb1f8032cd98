"""Too little memory for a step or the catalogue: what to lower."""

from __future__ import annotations

from contextlib import AbstractContextManager

from fusionlab.data.memory import enough_memory
from fusionlab.sections import Training


def enough_for(training: Training) -> AbstractContextManager[None]:
    """Say what to lower where an epoch's draws, a step or a validation does not fit."""
    return enough_memory(
        f"a step or the catalogue: lower training.batch_size (now {training.batch_size}) or "
        f"training.negatives (now {training.negatives}), set training.micro_batch=auto, "
        "training.pool, "
        "runtime.precision=bf16 or runtime.features=bf16, or run fewer --workers"
    )
