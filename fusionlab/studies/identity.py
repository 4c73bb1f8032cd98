"""What makes two runs the same run.

A run's id is the hash of everything that may change a bit of its metrics:

- the experiment's configuration with all defaults filled in, seed, threads, precision and device
  included (1 and 2 threads give different bits), but without the dataset's options: they are
  replaced by the fingerprint of the dataset's *content*, so a moved folder is the same dataset and
  an edited file is another;
- the source of each part that comes from outside the package (an edited plug-in is another part);
- the versions of fusionlab and torch.

What is not in it: where the run is stored, how many workers ran beside it, the machine's name, and
metrics or cut-offs are in it because they are part of the record.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import torch

import fusionlab
from fusionlab.config import Experiment
from fusionlab.registry import Part, source_hash

RECORD_FORMAT = 1


def run_id(experiment: Experiment, dataset_fingerprint: str) -> str:
    """The run's id, 64 hexadecimal digits."""
    config = experiment.model_dump(mode="json", exclude={"dataset", "plugins"})
    identity = {
        "format": RECORD_FORMAT,
        "fusionlab": fusionlab.__version__,
        "torch": torch.__version__,
        "dataset": dataset_fingerprint,
        "config": config,
        "sources": _sources(experiment),
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def _sources(model: Any) -> dict[str, str]:
    """Source hashes of the parts from outside the package, nested ones included."""
    found: dict[str, str] = {}
    if isinstance(model, Part):
        digest = source_hash(model.registry[model.name])
        if digest is not None:
            found[f"{model.registry.family}:{model.name}"] = digest
    if hasattr(type(model), "model_fields"):
        for key in type(model).model_fields:
            found |= _sources(getattr(model, key))
    return found
