"""What SECURITY.md promises: nothing that is read is executed, and nothing outside is reached."""

import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from fusionlab.config import experiment_from, load_config
from fusionlab.data.arrays import read_features
from fusionlab.data.dataset import DATASETS
from fusionlab.data.sealed import write_sums
from fusionlab.data.table_files import UNPACKED_AT_LEAST, read_jsonl
from fusionlab.encoders.audio.voice import AudioVoice
from fusionlab.encoders.contract import ENCODERS
from fusionlab.encoders.weights import load_weights
from fusionlab.errors import FusionlabError
from fusionlab.layers import read_layers
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import MODEL_FILE, RunStore
from fusionlab.studies.trained import load_trained


class Evil:
    """A pickle that makes a file where it is opened."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path):
    """What must not be there in the end; the pickle would make it."""
    trace = tmp_path / "executed"
    pickle.loads(pickle.dumps(Evil(trace)))
    assert trace.exists()
    trace.unlink()
    yield trace
    assert not trace.exists()


def evil_array(trace):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil(trace)] * 3, dtype=object), allow_pickle=True)
    return buffer.getvalue()


def evil_weights(trace):
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(2, 3), "more": Evil(trace)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("content", [evil_array, lambda trace: pickle.dumps(Evil(trace))])
def test_a_pickle_for_features_or_their_mask_is_refused(content, trace, tmp_path):
    file, good = tmp_path / "x.npy", tmp_path / "good.npy"
    file.write_bytes(content(trace))
    np.save(good, np.ones((3, 2), dtype=np.float32))
    with pytest.raises(FusionlabError, match=r"x\.npy"):
        read_features(file, cure="")
    with pytest.raises(FusionlabError, match=r"x\.npy"):
        read_features(good, cure="", mask_file=file)


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize("content", [evil_weights, lambda trace: pickle.dumps(Evil(trace))])
def test_a_pickle_for_weights_is_refused(content, ending, trace, tmp_path):
    file = tmp_path / f"w{ending}"
    file.write_bytes(content(trace))
    with pytest.raises(FusionlabError, match="weights"):
        load_weights(nn.Linear(3, 2), str(file))


def test_a_pickle_for_the_weights_of_voices_is_refused(trace, tmp_path):
    file = tmp_path / "w.pt"
    file.write_bytes(evil_weights(trace))
    with pytest.raises(FusionlabError, match="weights"):
        AudioVoice(weights=str(file))


class Crooked:
    """Nothing to pickle, but a `TypeError` to torch's reader of tensors."""

    def __reduce__(self):
        return OrderedDict, (), (None, {})


def crooked_weights(trace):
    buffer = io.BytesIO()
    torch.save([Crooked(), Evil(trace)], buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "model", "file"),
    [
        ("image_torchvision", "resnet18", "resnet18-f37072fd.pth"),
        ("image_timm", "gcvit_xxtiny", "gcvit_xxtiny_224_nvidia-d1d86009.pth"),
    ],
)
@pytest.mark.parametrize("content", [evil_weights, crooked_weights, lambda trace: b"nothing"])
def test_a_pickle_for_published_weights_is_refused(
    name, model, file, content, trace, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / file).write_bytes(content(trace))
    part = ENCODERS.parse({"name": name, "model": model})
    with pytest.raises(FusionlabError, match=f"weights of '{model}' cannot be read") as told:
        part.build()
    assert len(str(told.value).splitlines()) == 1
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


SMALL = {
    "dataset": {"name": "synthetic", "users": 20, "items": 16, "clicks": 6},
    "dim": 4,
    "training": {"epochs": 2, "batch_size": 64},
    "evaluation": {"cutoffs": [5]},
}


def test_a_pickle_for_a_checkpoint_or_a_model_is_refused(trace, tmp_path):
    store, experiment = RunStore(tmp_path / "runs"), experiment_from(SMALL)
    run = run_experiment(experiment, store).id
    model = store.folder(run) / MODEL_FILE
    assert load_file(model)
    model.write_bytes(evil_weights(trace))
    write_sums(model.parent, [MODEL_FILE, "per_user.parquet"])  # even if it were what was written
    with pytest.raises(FusionlabError, match=r"model\.safetensors: cannot be read"):
        load_trained(run, store)
    other = RunStore(tmp_path / "other")
    (other.partial(run) / "checkpoint.pt").write_bytes(evil_weights(trace))
    with pytest.raises(FusionlabError, match=r"checkpoint\.pt: no checkpoint"):
        run_experiment(experiment, other)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:pathlib.Path.touch", "!!python/name:os.system", "!!python/tuple"]
)
def test_yaml_makes_no_python_objects(tag, trace, tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text(f"dataset: synthetic\nseed: {tag} [{trace}]\n")
    with pytest.raises(FusionlabError, match="not valid YAML"):
        read_layers(file)
    with pytest.raises(FusionlabError):
        read_layers(file.with_name("y.yaml"), [f"seed={tag} [{trace}]"])


def test_yaml_that_unfolds_without_end_is_refused(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(lines))
    with pytest.raises(FusionlabError, match="not valid YAML"):
        read_layers(file)


def test_a_configuration_runs_no_code_but_the_plugins_it_names(trace, tmp_path):
    plugin, file = tmp_path / "mine.py", tmp_path / "x.yaml"
    plugin.write_text("import math\nraise SystemExit('the plug-in ran')\n")
    for key in ("fusion", "recommender", "task", "title"):
        file.write_text(yaml.safe_dump({"dataset": "synthetic", key: str(plugin)}))
        with pytest.raises(FusionlabError):
            load_config(file)
    file.write_text(yaml.safe_dump({"dataset": "synthetic", "plugins": [str(plugin)]}))
    with pytest.raises(SystemExit, match="the plug-in ran"):
        load_config(file)


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/passwd", "a/../../secret.png", "..", "a\0b"]
)
def test_a_table_names_no_file_outside_its_folder(path, tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "interactions.csv").write_text(
        "user,item,split\nann,mug,train\nann,cup,valid\nann,jug,test\n"
    )
    rows = [("mug", "a/m.png"), ("cup", path), ("jug", "")]
    (folder / "items.csv").write_text(
        "item,photo\n" + "".join(f"{item},{photo}\n" for item, photo in rows)
    )
    part = DATASETS.parse({"name": "folder", "path": str(folder), "image_columns": ["photo"]})
    with pytest.raises(
        FusionlabError, match=r"row 2, column 'photo': found .*expected a path insi"
    ):
        part.build().load()


def test_a_record_names_no_file_outside_its_store(tmp_path):
    store = RunStore(tmp_path / "runs")
    record = run_experiment(experiment_from(SMALL), store)
    file = store.folder(record.id) / "record.json"
    file.write_text(
        file.read_text().replace('"updated_from": {}', '"updated_from": {"root": "../x"}')
    )
    with pytest.raises(FusionlabError, match="not a run record"):
        store.load(record.id)


def test_a_compressed_file_that_fills_the_memory_is_refused(tmp_path):
    import gzip

    file = tmp_path / "bomb.jsonl.gz"
    file.write_bytes(gzip.compress(b" " * (UNPACKED_AT_LEAST * 2), 9))
    with pytest.raises(FusionlabError, match="found more than"):
        read_jsonl(file)
