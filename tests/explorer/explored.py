"""A finished study on a rendered catalogue, small enough to be trained in seconds."""

import json
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path

from fusionlab.config import load_study
from fusionlab.explorer.boards import open_board
from fusionlab.explorer.state import Explorer
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.executor import execute
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan

STUDY = {
    "title": "Two <fusions> & a shop",
    "experiment": {
        "dataset": {"name": "synthetic", "users": 60, "items": 40, "clicks": 12},
        "encoders": {
            "text": {"of": "text", "encoder": {"name": "tfidf", "width": 8, "min_items": 1}},
            "image": {"of": "image", "encoder": {"name": "pixels", "side": 4}},
            "audio": {"of": "audio", "encoder": {"name": "audio_mfcc"}},
        },
        "dim": 8,
        "training": {
            "epochs": 2,
            "batch_size": 128,
            "learning_rate": 0.01,
            "modality_dropout": 0.3,
        },
        "evaluation": {"cutoffs": [5], "curves": {"missing": [0, 1]}},
    },
    "axes": {"fusion": ["concat", "mean_scores"]},
    "seeds": [0, 1],
    "controls": ["popularity"],
}
STUDY["experiment"]["dataset"]["features"] = "rendered"

OTHER = {
    "title": "Words alone",
    "experiment": {
        **STUDY["experiment"],
        "dataset": {**STUDY["experiment"]["dataset"], "users": 50, "items": 30},
        "encoders": {"text": STUDY["experiment"]["encoders"]["text"]},
        "evaluation": {"cutoffs": [5]},
        "training": {"epochs": 1, "batch_size": 128},
    },
    "axes": {"fusion": ["gated"]},
    "seeds": [0],
    "controls": ["achievable"],
}
"""With another level, another strategy, one modality, and a ceiling that reads what none else does;
its model saw no subsets."""

SECRET = b"the salary of the director"


class Tags(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@cache
def finished(folder: Path) -> tuple[Path, RunStore]:
    """The file of the study and the store of its runs."""
    return trained(folder, "study.yaml", STUDY)


@cache
def other(folder: Path) -> tuple[Path, RunStore]:
    """The file of another study, whose runs are in the same store."""
    return trained(folder, "other.yaml", OTHER)


def trained(folder: Path, name: str, study: dict) -> tuple[Path, RunStore]:
    file, store = folder / name, RunStore(folder / "runs")
    file.write_text(json.dumps(study))  # JSON is YAML
    planned = plan(load_study(file), partial(load_dataset, features=store.features))
    execute(planned.runs, store, workers=1, on_run=lambda *_: None)
    return file, store


def explorer_of(folder: Path) -> Explorer:
    """Over the one board of the study."""
    file, store = finished(folder)
    return Explorer([open_board(str(file), store)], store)
