"""What makes two runs the same run.

A run's id is the hash of everything that may change a bit of its metrics:

- the experiment's configuration with all defaults filled in, seed, threads, precision and device
  included (1 and 2 threads give different bits), but without the options of dataset and encoders
  and the name of a file of more items: they are replaced by the fingerprint of the *content*,
  encoded features included, so a moved folder is the same dataset and an edited file is another;
- the source of fusionlab itself, from the data to the run (reports and the command line are left
  out), and the file of each part that comes from outside: edited code is other code. Modules that
  a plug-in imports are not looked at;
- the files of a pretrained model that the strategy loads from a folder or a package;
- with a ``transfer``, the id of the source run;
- the version of torch.

What is not in it: where the run is stored, how many workers ran beside it, the machine's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

import fusionlab
from fusionlab.config import Experiment
from fusionlab.data.dataset import Dataset
from fusionlab.plugins import source_hash
from fusionlab.registry import Part, family

RECORD_FORMAT = 1
COMPUTES = (
    "data",
    "encoders",
    "llm",
    "fusion",
    "recommenders",
    "evaluation",
    "balancing",
    "training",
    "studies",
)
"""The folders of the package whose code a metric depends on."""


def id_of(experiment: Experiment, dataset: Dataset) -> str:
    """The id of a run on a dataset as `load_dataset` has it."""
    source = experiment.source
    if source is None:
        return run_id(experiment, dataset.fingerprint)
    assert dataset.source is not None
    return run_id(experiment, dataset.fingerprint, run_id(source, dataset.source.fingerprint))


def run_id(experiment: Experiment, dataset_fingerprint: str, source: str = "") -> str:
    """The run's id, 64 hexadecimal digits; ``source`` is that of the run it takes over."""
    identity = {
        "format": RECORD_FORMAT,
        "fusionlab": own_source(),
        "torch": torch.__version__,
        "dataset": dataset_fingerprint,
        "config": configuration(experiment),
        "learning_rates": {name: one.learning_rate for name, one in experiment.encodings.items()},
        "sources": _sources(experiment),
        "model": family("fusion")[experiment.fusion.name].content_id(experiment.fusion),
    }
    if experiment.transfer is not None:
        identity["transfer"] = {"source": source, "tune": experiment.transfer.tune}
    return digest(identity)


def configuration(experiment: Experiment) -> dict[str, Any]:
    """The part of an experiment's identity that is written in it, whatever data and code are."""
    left_out = {"dataset", "encoders", "more_items", "plugins", "transfer"}
    return experiment.model_dump(mode="json", exclude=left_out)


def update_id(experiment: Experiment, dataset_fingerprint: str, update: Mapping[str, Any]) -> str:
    """The id of an update: of the run that it would be without, and of all that makes it one."""
    return digest({"run": run_id(experiment, dataset_fingerprint), "update": dict(update)})


def inputs_id(
    experiment: Experiment, dataset_fingerprint: str, learned_from: str | None = None
) -> str:
    """The id of prepared features: of all that may change a bit of them, the code included.

    ``learned_from`` is the fingerprint of the dataset that scales and axes are of, if another's.
    What becomes of them later, in worlds where modalities are missing or noisy, changes none.
    """
    identity = {
        "fusionlab": own_source(),
        "torch": torch.__version__,
        "dataset": dataset_fingerprint,
        "learned_from": learned_from,
        "task": experiment.task,
        "inputs": experiment.inputs.model_dump(
            mode="json", exclude={"context", "missing", "noise", "imputer"}
        ),
        "runtime": experiment.runtime.model_dump(mode="json"),
        "seed": experiment.seed if experiment.inputs.shuffled else None,
    }
    return digest(identity)


def digest(identity: Mapping[str, Any]) -> str:
    """Hash of plain data, 64 hexadecimal digits."""
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


@cache
def own_source() -> str:
    """Hash of the package's code, as far as it may move a metric."""
    package = Path(fusionlab.__file__).parent
    digest = sha256()
    for file in sorted(package.rglob("*.py")):
        place = file.relative_to(package)
        if place.parts[0] in COMPUTES:
            digest.update(str(place).encode() + file.read_bytes())
    return digest.hexdigest()


def _sources(model: Any) -> dict[str, str]:
    """Source hashes of the parts from outside the package, nested ones included."""
    found: dict[str, str] = {}
    if isinstance(model, Part):
        digest = source_hash(model.registry[model.name])
        if digest is not None:
            found[f"{model.registry.family}:{model.name}"] = digest
    if isinstance(model, Mapping):
        for one in model.values():
            found |= _sources(one)
    if hasattr(type(model), "model_fields"):
        for key in type(model).model_fields:
            found |= _sources(getattr(model, key))
    return found
