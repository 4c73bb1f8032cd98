"""This framework, started as users start it: `fusionlab run` with a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from peer_case import BATCH, CUTOFFS, DIM, Case

METRICS = ["recall", "ndcg"]
ENDLESS = 1_000_000

VBPR: dict[str, Any] = {
    "recommender": {"name": "hybrid"},
    "fusion": "concat",
    "inputs": {"modalities": ["image", "text"]},
}


def written(case: Case, *, runtime: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    """The configuration file that a user would write."""
    return {
        "dataset": {"name": "mmrec", "path": case.folder},
        "dim": DIM,
        "training": {"batch_size": BATCH, "epochs": ENDLESS, "validate_every": ENDLESS},
        "evaluation": {"metrics": METRICS, "cutoffs": list(CUTOFFS)},
        "runtime": {"threads": case.threads, **(runtime or {})},
        **parts,
    }


def start(case: Case) -> None:
    """Run VBPR from nothing."""
    from fusionlab.cli import main

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vbpr.yaml"
        file.write_text(json.dumps(written(case, **VBPR)))
        main(["run", str(file), "--runs", folder])
