"""Configuration: YAML, base files, overrides, and errors that say where."""

import pickle

import pytest

from fusionlab.config import load_experiment, load_study
from fusionlab.data.dataset import DATASETS
from fusionlab.encoders.sources import locate
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.layers import changed, dotted, merge, merged, nest, read_layers
from fusionlab.plugins import load_plugin
from fusionlab.schema import validate
from fusionlab.sections import Runtime

EXPERIMENT = """
dataset: {name: synthetic, users: 20, items: 30, clicks: 10}
fusion: {name: gated, gate: sigmoid}
recommender: {name: hybrid, l2: 0.5}
training: {epochs: 3}
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT)
    return file


def test_reads_parts_with_their_options(file):
    experiment = load_experiment(file)
    assert experiment.fusion.gate == "sigmoid"
    assert experiment.training.loss.name == "bpr"
    assert experiment.training.epochs == 3


def test_overrides_win_and_a_new_name_drops_old_options(file):
    experiment = load_experiment(
        file, ["recommender.name=popularity", "fusion=lowrank_tensor", "fusion.rank=2"]
    )
    assert experiment.recommender.model_dump() == {"name": "popularity"}
    assert experiment.fusion.rank == 2


def test_base_files_are_extended(file):
    child = file.parent / "child.yaml"
    child.write_text("base: experiment.yaml\ntraining: {learning_rate: 0.5}\n")
    experiment = load_experiment(child)
    assert experiment.training.epochs == 3
    assert experiment.training.learning_rate == 0.5


def test_a_base_whose_name_is_too_long_is_no_file(tmp_path):
    (tmp_path / "a.yaml").write_text(f"base: {'x' * 300}")
    with pytest.raises(FusionlabError, match="no such file"):
        load_experiment(tmp_path / "a.yaml")


def test_a_base_that_is_not_there_is_blamed_on_the_file_that_names_it(file):
    child = file.parent / "child.yaml"
    child.write_text("base: experimnt.yaml\n")
    with pytest.raises(FusionlabError, match=r"child\.yaml: base: .*experimnt\.yaml: no such file"):
        load_experiment(child)


@pytest.mark.parametrize("path", ["x" * 300, "~nobody-of-this-name/data"])
def test_a_path_that_cannot_be_is_nothing(path):
    part = {"name": "folder", "path": path}
    with pytest.raises(FusionlabError, match=r"dataset\.path: found nothing at"):
        DATASETS.parse(part).build().load()
    with pytest.raises(FusionlabError, match="no such file"):
        load_plugin(f"{path}.py")
    assert locate(path) == path


def test_base_circle_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(FusionlabError, match=r"b\.yaml -> a\.yaml\), expected a file without one"):
        read_layers(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fusion=gatd", "command line: fusion.name: found 'gatd'"),
        ("fusion.gate=softmx", "did you mean 'softmax'?"),
        ("trainng.epochs=3", "unknown key: found 'trainng'"),
        ("training.epochs=0", "command line: training.epochs: found 0"),
        ("training.loss=bprr", "training.loss.name: found 'bprr'"),
        ("training.epochs", "expected key.sub=value"),
        ("runtime.precision=fp61", "runtime.precision: found 'fp61'"),
    ],
)
def test_wrong_overrides_say_where(file, override, message):
    with pytest.raises(ConfigError) as error:
        load_experiment(file, [override])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inputs.modalities=[]", "inputs.modalities: found []"),
        ("evaluation.cutoffs=[]", "evaluation.cutoffs: found []"),
        ("evaluation.users=0", "evaluation.users: found 0"),
        ("plugins=foo.py", "plugins: found 'foo.py', expected a list"),
        ("runtime.device=gpu", "runtime.device: found 'gpu'"),
    ],
)
def test_odd_values_are_refused(file, override, message):
    with pytest.raises(ConfigError) as error:
        load_experiment(file, [override])
    assert message in str(error.value)


def test_a_mistake_is_blamed_on_the_file_that_holds_it(file):
    file.write_text(EXPERIMENT.replace("epochs", "epochz"))
    child = file.parent / "child.yaml"
    child.write_text("base: experiment.yaml\ndim: 0\n")
    with pytest.raises(ConfigError) as error:
        load_experiment(child)
    assert str(error.value).startswith(f"{file}: training.epochz: unknown key")
    file.write_text(EXPERIMENT)
    with pytest.raises(ConfigError) as error:
        load_experiment(child)
    assert str(error.value).startswith(f"{child}: dim: found 0")


def test_a_study_may_extend_an_experiment_file(file):
    study = file.parent / "study.yaml"
    study.write_text("title: t\nexperiment: {base: experiment.yaml, dim: 16}\n")
    experiment = load_study(study).experiment
    assert (experiment.dim, experiment.training.epochs) == (16, 3)


def test_the_other_kind_of_file_is_recognised(file):
    study = file.parent / "study.yaml"
    study.write_text("title: t\nexperiment: {dataset: synthetic}\n")
    with pytest.raises(FusionlabError, match="use `fusionlab study`"):
        load_experiment(study)
    with pytest.raises(FusionlabError, match="use `fusionlab run`"):
        load_study(file)


def test_config_errors_travel_between_processes():
    error = ConfigError([(("a", "b"), "wrong")]).written_in(lambda path: "file.yaml")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "file.yaml: a.b: wrong"


def test_errors_of_a_file_name_it(file):
    file.write_text(EXPERIMENT + "evaluation: {cutoffs: [0]}\n")
    with pytest.raises(ConfigError, match=r"experiment\.yaml: evaluation\.cutoffs\.0: found 0"):
        load_experiment(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [", "not valid YAML"), ("- 1", "expected a mapping")],
)
def test_broken_yaml_is_refused(tmp_path, text, message):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(FusionlabError, match=message):
        read_layers(file)


def test_nothing_is_filled_in(tmp_path, monkeypatch):
    """Neither what other keys say, which could double without end, nor the environment."""
    monkeypatch.setenv("SECRET", "hunter2")
    file = tmp_path / "x.yaml"
    lines = [f"a{n}: '${{a{n - 1}}}${{a{n - 1}}}'" for n in range(1, 60)]
    file.write_text("\n".join(["a0: xxxx", *lines, "title: ${oc.env:SECRET}"]))
    (layer,) = read_layers(file, ["name=${oc.env:SECRET}"])[:1]
    assert layer.data["title"] == "${oc.env:SECRET}"
    assert layer.data["a59"] == "${a58}${a58}"
    assert "hunter2" not in str(merged(read_layers(file, ["name=${oc.env:SECRET}"])))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FusionlabError, match="nowhere"):
        read_layers(tmp_path / "nowhere.yaml")


def test_study_error_carries_the_whole_path(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("title: t\nexperiment:\n  dataset: synthetic\n  training: {epochs: -1}\n")
    with pytest.raises(ConfigError, match=r"study\.yaml: experiment\.training\.epochs: found -1"):
        load_study(file)


def test_merge_rules():
    assert merge({"a": 1, "b": {"c": 2}}, {"b": {"d": 3}}) == {"a": 1, "b": {"c": 2, "d": 3}}
    assert merge({"name": "x", "o": 1}, "x") == {"name": "x", "o": 1}
    assert merge({"name": "x", "o": 1}, "y") == {"name": "y"}
    assert merge("x", {"o": 2}) == {"name": "x", "o": 2}
    assert merge([1], [2, 3]) == [2, 3]
    assert nest("a.b", 1) == {"a": {"b": 1}}
    assert dotted({"a": {"b": 1, "c": {"d": [2]}}, "e": 3}) == {"a.b": 1, "a.c.d": [2], "e": 3}
    assert changed({"a": {"b": 1}, "e": 3}, {"a.c": 2, "e": 4}) == {"a": {"b": 1, "c": 2}, "e": 4}


def test_varied_validates(file):
    experiment = load_experiment(file)
    assert experiment.varied({"fusion": "sum", "training.epochs": 9}).training.epochs == 9
    with pytest.raises(ConfigError, match="fusion"):
        experiment.varied({"fusion": "summ"})


def test_cuda_graphs_need_a_gpu():
    with pytest.raises(ConfigError, match="cuda_graphs: found true on device 'cpu'"):
        validate(Runtime, {"cuda_graphs": True})
    assert validate(Runtime, {"cuda_graphs": True, "device": "cuda"}).cuda_graphs
