"""What the commands of `faults.py` are asked for, on a world of 60 users and 40 items, and how a
run is read back."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from faults_operations import Place

WORLD = "{name: synthetic, users: 60, items: 40, clicks: 12, nuisance: 0}"
EXPERIMENT = f"""
dataset: {WORLD}
dim: 8
training: {{epochs: 8, batch_size: 128, learning_rate: 0.01, patience: 12, signals_every: 0}}
evaluation: {{cutoffs: [5]}}
"""
ENCODED = """
dataset: {name: synthetic, users: 60, items: 40, clicks: 12, features: rendered}
encoders:
  text: {of: text, encoder: {name: tfidf, width: 8, min_items: 1}, batch_size: 1}
  image: {of: image, encoder: {name: pixels, side: 4}, store: fp16, batch_size: 1}
"""
STUDY = f"""
title: tiny
experiment:
  dataset: {WORLD}
  dim: 8
  training: {{epochs: 3, batch_size: 128, learning_rate: 0.01, signals_every: 0}}
  evaluation: {{cutoffs: [5]}}
axes: {{fusion: [concat, sum]}}
seeds: [0, 1]
controls: [popularity]
"""


def written(place: Place, text: str) -> str:
    """The path of a configuration."""
    file = place.aside / "asked.yaml"
    file.write_text(text)
    return str(file)


def of_run(place: Place, run: str) -> list[Any]:
    """What a run says, and the bytes of its model and tables, read as others read them."""
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trained import load_trained

    record = load_trained(run, RunStore(place.runs)).record
    history = [{k: v for k, v in one.items() if k != "seconds"} for one in record.history]
    tables = [record.per_user().write_csv(), record.words().write_csv()]
    model = sha256((place.runs / run / "model.safetensors").read_bytes()).hexdigest()
    return [run, record.metrics, history, record.warnings, tables, model]
