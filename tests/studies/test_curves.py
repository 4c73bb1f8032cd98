"""A trained model judged in worlds that get worse."""

from dataclasses import replace

import pytest
import torch

from fusionlab.config import experiment_from, load_study
from fusionlab.data.worlds import World
from fusionlab.errors import ConfigError
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.fusion.imputers.contract import IMPUTERS
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import results_of
from fusionlab.sections import Curves
from fusionlab.studies.build import build_task
from fusionlab.studies.checks import check, measured
from fusionlab.studies.curves import curve_names, mean_height, with_curves
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.executor import execute
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan

SMALL = {
    "dataset": {"name": "synthetic", "users": 60, "items": 50, "clicks": 10},
    "training": {"epochs": 2, "modality_dropout": 0.2},
    "evaluation": {"curves": {"missing": [0, 0.25, 1], "noise": [0, 0.5, 2]}},
}
CLASSES = {"task": "classification", "dataset": {**SMALL["dataset"], "task": "classification"}}


def build(**changes):
    experiment = experiment_from(SMALL).varied(changes)
    dataset = load_dataset(experiment)
    task = build_task(experiment, dataset)
    task.model.eval()
    known = dataset.labels if experiment.task == "classification" else dataset.interactions
    return experiment, task, {"valid": known.valid}


def curves_of(experiment, task, splits):
    whole = task.judge(splits)
    return whole, with_curves(experiment.evaluation.curves, task, splits, whole, whole)


@pytest.mark.parametrize(("task", "metric"), [({}, "ndcg@20"), (CLASSES, "accuracy")])
def test_points_and_areas_stand_in_the_record_for_each_user(task, metric, tmp_path):
    experiment = experiment_from({**SMALL, **task})
    record = run_experiment(experiment, RunStore(tmp_path))
    users = record.per_user()
    for split in ("valid", "test"):
        found = record.metrics[split]
        assert set(measured(experiment)) <= found.keys()
        assert found[f"{metric} at 0% missing"] == found[f"{metric} at noise 0"] == found[metric]
        a, b, c = (found[f"{metric} at {rate}% missing"] for rate in (0, 25, 100))
        area = (a + b) / 2 * 0.25 + (b + c) / 2 * 0.75
        assert found[f"{metric} missing area"] == pytest.approx(area)
        a, b, c = (found[f"{metric} at noise {level}"] for level in ("0", "0.5", "2"))
        assert found[f"{metric} noise area"] == pytest.approx(((a + b) / 4 + (b + c) * 0.75) / 2)
        assert found[f"{metric} at 100% missing"] < found[metric]
    assert f"{metric} missing area" in users.columns
    assert len(record.test_opened) == 1


def test_a_point_is_what_is_judged_in_that_world():
    experiment, task, splits = build(**{"inputs.missing.test": 0.3, "inputs.noise.test": 0.2})
    whole, found = curves_of(experiment, task, splits)
    at = found["valid"].per_unit
    worlds = task.worlds
    for name, world in {
        "at 25% missing": World(0.25, None, "random", 0.2, None),
        "at noise 0.5": World(0.3, None, "random", 0.5, None),
    }.items():
        again = task.judge(splits, features=worlds.of(world))["valid"].per_unit["ndcg@20"]
        assert torch.equal(at[f"ndcg@20 {name}"], again)
    assert not torch.equal(at["ndcg@20 at 0% missing"], whole["valid"].per_unit["ndcg@20"])


def test_nothing_is_judged_twice(monkeypatch):
    experiment, task, splits = build()
    whole, calls = task.judge(splits), []
    judge = task.judge
    monkeypatch.setattr(task, "judge", lambda *a, **k: calls.append(k) or judge(*a, **k))
    found = with_curves(experiment.evaluation.curves, task, splits, whole, whole)
    assert len(calls) == 4  # of six points the two at rate zero are known
    assert found["valid"].per_unit["ndcg@20 at 0% missing"] is whole["valid"].per_unit["ndcg@20"]


def test_only_the_named_modalities_get_lost():
    experiment, task, splits = build(**{"evaluation.curves.modalities": ["image"]})
    _, found = curves_of(experiment, task, splits)
    without = task.judge(splits, {"image"})["valid"].per_unit["ndcg@20"]
    assert torch.equal(found["valid"].per_unit["ndcg@20 at 100% missing"], without)


LAST_BITS = {"llm_prefix": {"rtol": 1e-5, "atol": 1e-6}}
"""Of the language model, whose calls are as long as the longest item in them: on some processors
the length of a product decides over its last bits. All others are the same to the bit."""


@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_a_modality_all_items_lack_is_one_that_was_never_there(fusion):
    """Of every strategy, in the judged world and at the end of a curve; and of single items."""
    part = specimen(fusion).model_dump()
    experiment, task, splits = build(
        fusion=part, dim=8, **{"evaluation.curves": {"missing": [0, 1], "modalities": ["image"]}}
    )
    fuse, whole = task.model.fusion, task.worlds.features
    never = task.judge(splits, features=whole.without_columns(["image"]))["valid"]
    _, found = curves_of(experiment, task, splits)
    for metric, values in never.per_unit.items():
        assert torch.equal(found["valid"].per_unit[f"{metric} at 100% missing"], values)
    half = task.worlds.of(World(0.5, ("image",)))
    lack = ~half.present("image")
    with torch.no_grad():
        one, other = fuse(half), fuse(whole.without_columns(["image"]))
    kept = [name != "image" for name in fuse.view_names]
    assert lack.sum() == len(lack) // 2
    if one.views.shape == other.views.shape:
        near = LAST_BITS.get(fusion, {"rtol": 0, "atol": 0})
        torch.testing.assert_close(one.views[lack], other.views[lack], **near)
        assert torch.equal(one.present[lack], other.present[lack])
    else:  # a view a modality, and one that is absent
        assert torch.equal(one.views[lack][:, kept], other.views[lack])
        assert not one.present[lack][:, [not k for k in kept]].any()


@pytest.mark.parametrize("imputer", [name for name in IMPUTERS.names() if name != "none"])
def test_an_imputer_serves_curves_and_masks_alike(imputer):
    experiment, task, splits = build(
        **{"inputs.imputer": imputer, "evaluation.curves.modalities": ["image"]}
    )
    _, found = curves_of(experiment, task, splits)
    lost = found["valid"].per_unit["ndcg@20 at 100% missing"]
    assert torch.equal(lost, task.judge(splits, {"image"})["valid"].per_unit["ndcg@20"])
    plain = build(**{"evaluation.curves.modalities": ["image"]})
    assert not torch.equal(lost, curves_of(*plain)[1]["valid"].per_unit["ndcg@20 at 100% missing"])
    assert any(key.startswith("fusion.imputer") for key in task.model.state_dict()) or (
        imputer == "zero"
    )


def test_the_imputer_knows_nothing_of_items_that_are_not_train():
    states = []
    for stranger in (0.0, 1e3):
        experiment = experiment_from({**SMALL, **CLASSES, "inputs": {"imputer": "neighbours"}})
        dataset = load_dataset(experiment)
        unseen = torch.ones(len(dataset.item_ids), dtype=torch.bool)
        unseen[dataset.labels.train.items] = False
        values = {
            name: torch.where(unseen[:, None, None], x + stranger, x)
            for name, x in dataset.features.values.items()
        }
        features = replace(dataset.features, values=values)
        dataset = replace(dataset, features=features, fingerprint=str(stranger))
        states.append(build_task(experiment, dataset).model.fusion.imputer.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key])


@pytest.mark.parametrize("imputer", ["learned", "neighbours"])
def test_a_run_learns_with_what_is_missing_in_training(imputer, tmp_path):
    changes = {"inputs.imputer": imputer, "inputs.missing.train": 0.5}
    experiment = experiment_from(SMALL).varied({**changes, "training.modality_dropout": 0})
    record = run_experiment(experiment, RunStore(tmp_path))
    assert record.coalition_training == "missing items"
    plain = run_experiment(experiment_from(SMALL), RunStore(tmp_path))
    assert record.id != plain.id


def test_who_reads_no_features_loses_nothing(tmp_path):
    popular = experiment_from({**SMALL, "recommender": "popularity"})
    found = run_experiment(popular, RunStore(tmp_path)).metrics["test"]
    assert found["ndcg@20 at 100% missing"] == found["ndcg@20 noise area"] == found["ndcg@20"]


def test_an_area_is_linear_in_its_points():
    values = [torch.tensor([1.0, 0.5]), torch.tensor([0.5, 0.5]), torch.tensor([0.0, 0.5])]
    assert mean_height(values, [0, 1, 4]).tolist() == [(0.75 + 0.25 * 3) / 4, 0.5]


def test_names_of_points():
    curves = Curves(missing=[0, 0.125, 1], noise=[0.5, 2])
    assert curve_names(curves) == [
        "at 0% missing",
        "at 12.5% missing",
        "at 100% missing",
        "missing area",
        "at noise 0.5",
        "at noise 2",
        "noise area",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation.curves.missing": [0.5]}, r"evaluation\.curves\.missing.*at least two rates"),
        ({"evaluation.curves.missing": [0.5, 0.2]}, r"evaluation\.curves\.missing.*each above"),
        ({"evaluation.curves.modalities": ["imag"]}, r"evaluation\.curves\.modalities.*'image'"),
        ({"inputs.missing.modalities": ["imag"]}, r"inputs\.missing\.modalities.*'image'"),
        ({"inputs.noise.modalities": ["imag"]}, r"inputs\.noise\.modalities.*'image'"),
        ({"evaluation.select": "ndcg@20 missing area"}, r"evaluation\.select"),
        ({"inputs.imputer": "neighbour"}, r"inputs\.imputer.*neighbours"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        build(**changes)


@pytest.mark.parametrize("place", ["inputs.missing", "evaluation.curves"])
def test_without_clicks_nothing_is_popular(place):
    with pytest.raises(ConfigError, match=rf"{place}\.among.*expected 'random'"):
        build(**CLASSES, **{f"{place}.among": "popular"})


@pytest.mark.parametrize("change", [{"inputs.noise.test": 1}, {"evaluation.curves.noise": [0, 1]}])
def test_ids_take_no_noise(change):
    experiment = experiment_from(SMALL).varied({"evaluation.curves.noise": []} | change)
    experiment = experiment.varied({"fusion": specimen("llm_prefix").model_dump()})
    dataset = load_dataset(experiment)
    ids = torch.zeros(50, 1, 1, dtype=torch.int64)
    dataset.features.values["text"] = ids
    dataset.features.vocabulary["text"] = 9
    with pytest.raises(
        ConfigError, match=r"noise on 'text'.*expected some of \['image', 'audio'\]"
    ):
        check(experiment, dataset)


def test_missing_is_an_axis_and_the_area_tests_rows(study_file, tmp_path):
    study = load_study(
        study_file,
        [
            "axes={fusion: [concat, sum], inputs.missing.train: [0, 0.5]}",
            "experiment.evaluation.curves={missing: [0, 1], noise: [0, 1]}",
            "report.main=ndcg@5 missing area",
        ],
    )
    planned, store = plan(study), RunStore(tmp_path / "runs")
    assert planned.metrics == (
        "recall@5",
        "ndcg@5",
        *(f"ndcg@5 {a} area" for a in ("missing", "noise")),
    )
    execute(planned.runs, store, workers=1, on_run=lambda *_: None)
    report = write_report(results_of(study, planned, store), tmp_path / "r")
    labels = [row[0].text for row in report.tables["quality"].rows()]
    assert "sum, train=0.5" in labels
    assert {"robustness.pdf", "robustness.png"} <= {file.name for file in report.files}
