"""What a run in service reads: items that are new, groups of users, words of commands."""

import io
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fusionlab.cli import main
from fusionlab.config import experiment_from
from fusionlab.encoders.encode import Machine, encode
from fusionlab.serving.new_items import read_new_items
from fusionlab.serving.recommend import Service
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained
from fusionlab.studies.user_groups import user_groups
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOW, BLOWS, HOSTILE, damaged, struck
from tests.fuzzing.ground import bounded, ground, refusing_cleanly
from tests.fuzzing.test_fuzz_runs import SMALL

__all__ = ["bounded", "ground"]

ENCODED = {
    "dataset": {**SMALL["dataset"], "features": "rendered"},
    "encoders": {
        "image": {"of": "image", "encoder": {"name": "pixels", "side": 2}},
        "text": {"of": "text", "encoder": {"name": "tfidf", "width": 4, "min_items": 1}},
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def trained(store):
    """A run that reads pictures and texts; no process is started to encode them."""
    experiment = experiment_from({**SMALL, **ENCODED})
    dataset = experiment.dataset.build().load()
    encode(dataset, experiment.encodings, store.features, Machine(workers=0))
    return load_trained(run_experiment(experiment, store).id, store)


def new_items():
    """Two lines, with a text, a picture and a vector, and the picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, "PNG")
    lines = [
        {"item": "n0", "text": "a red thing", "image": "picture.png"},
        {"item": "n1", "image": [0.5] * 12, "text": None},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return {"items.jsonl": text.encode(), "picture.png": buffer.getvalue()}


def listed(trained, folder):
    """New items of a file, and a list in which they may stand."""
    items = read_new_items(folder / "items.jsonl", trained)
    (found,) = Service(trained, items).recommend(["u1"], 18)
    return [one.item for one in found.items]


@pytest.mark.usefixtures("bounded")
def test_damaged_new_items_are_ranked_or_refused(trained, ground):
    files = new_items()
    ground.lay(files)
    assert {"n0", "n1"} <= {*listed(trained, ground.root)}

    @inputs("new items")
    @given(BLOWS)
    def read(damage):
        ground.lay(damaged(files, damage))
        with refusing_cleanly():
            json.dumps(listed(trained, ground.root)).encode()
        ground.check_untouched()

    read()


@pytest.mark.usefixtures("bounded")
def test_damaged_groups_are_groups_or_one_error(trained, ground):
    content = b"user,group\nu1,a\nu2,b\nu3,a\n\nu4,\n"
    users = torch.arange(SMALL["dataset"]["users"])

    @inputs("groups of users")
    @given(st.lists(BLOW, max_size=3))
    def read(blows):
        ground.lay({"groups.csv": struck(content, blows)})
        with refusing_cleanly():
            found = user_groups(str(ground.root / "groups.csv"), trained.dataset, users)
            assert all(len(rows) for rows in found.values())
        ground.check_untouched()

    read()


WORDS = st.sampled_from(
    [one.decode(errors="surrogateescape") for one in HOSTILE if b"\0" not in one and len(one) < 999]
    + [
        "u1",
        "i1",
        "ann",
        "click",
        "rating",
        "5",
        "1e300",
        "-1e300",
        "1e-400",
        "NaN",
        "1000000000000",
    ]
    + ['{"a": [1]}']
)


OPTIONS = (
    "--user --item --kind --rating --time --list --context --liked --k --text --explain --index"
)


def command(*start):
    """A command and options with one word each."""
    pairs = st.tuples(st.sampled_from(OPTIONS.split()), WORDS)
    options = st.lists(pairs, max_size=4)
    return options.map(lambda found: [*start, *(word for pair in found for word in pair)])


def logged(run):
    """An event that can be logged but for one word or two."""
    usual = {"--user": "u1", "--item": "i1", "--kind": "click"}
    changed = st.dictionaries(
        st.sampled_from([*usual, "--rating", "--time", "--list", "--context"]), WORDS, max_size=2
    )
    return changed.map(
        lambda found: ["feedback", run, "add", *sum(({**usual, **found}).items(), ())]
    )


@pytest.mark.usefixtures("bounded")
def test_words_of_commands_are_understood_or_refused(trained, store):
    run = trained.record.id
    asked = (
        logged(run)
        | command("recommend", run, "--user", "u1")
        | command("recommend", run)
        | command("feedback", run, "add")
        | command("feedback", run, "list")
        | st.tuples(st.sampled_from(["list", "show"]), WORDS, WORDS).map(list)
        | st.tuples(st.just("show"), st.sampled_from(["fusion", "encoder"]), WORDS).map(list)
    )

    @inputs("commands")
    @given(asked)
    def ask(words):
        for line in (words, ["feedback", run, "list"]):
            found = CliRunner().invoke(main, line, env={"FUSIONLAB_RUNS": str(store.root)})
            assert isinstance(found.exception, SystemExit | None), (line, found.exc_info)
            assert "Traceback" not in found.output
        assert found.exit_code == 0, found.output

    ask()
