"""Search spaces: what parts declare, what a study asks for, and what is refused."""

import pytest
from small_studies import planned

from fusionlab.config import load_study
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.registry import FAMILIES, family
from fusionlab.spaces import Choice, Range, read_space
from fusionlab.studies.trials.space import declared, options
from fusionlab.tuning import Tuning

DECLARING = [
    (name, part)
    for name in FAMILIES
    for part in family(name).names()
    if getattr(family(name)[part], "space", {})
]


def test_many_parts_declare_spaces():
    assert {name for name, _ in DECLARING} == {"fusion", "recommender", "balancer"}
    assert len(DECLARING) >= 20


@pytest.mark.parametrize(("name", "part"), DECLARING)
def test_every_declared_value_is_one_the_part_takes_and_the_default_stands_between(name, part):
    registry = family(name)
    for key, space in registry[part].space.items():
        for _, value in space.ends:
            registry.parse({"name": part, key: value})
        assert space.holds(registry.schema(part).model_fields[key].default), key


def test_whole_numbers_are_drawn_where_the_option_takes_no_others(in_peace):
    ranks = [
        changes["fusion.rank"] for _, _, changes, _, _ in in_peace[2]["lowrank_tensor"] if changes
    ]
    assert all(type(rank) is int and 1 <= rank <= 16 for rank in ranks)
    assert len(set(ranks)) > 1


def test_spaces_of_rows_are_what_their_parts_declare(tuned_file):
    spaces = {
        search.label: set(search.variants[0].space)
        for search in planned(tuned_file, "controls=[popularity, ids_only]").searches
    }
    training = {"training.learning_rate", "training.weight_decay"}
    assert spaces == {
        "concat": training,
        "lowrank_tensor": {*training, "fusion.rank"},
        "popularity": training,
        "IDs only": {*training, "recommender.l2"},
    }


def test_a_study_adds_replaces_and_takes_away(tuned_file):
    asked = (
        "tune.spaces={training: {modality_dropout: {low: 0, high: 0.5}, weight_decay: null}, "
        "training.learning_rate: [0.01, 0.02], training.loss: [bpr, bce]}"
    )
    search = planned(tuned_file, asked, "controls=[]").searches[0]
    assert search.variants[0].space == {
        "training.learning_rate": Choice(choices=(0.01, 0.02)),
        "training.loss": Choice(choices=("bpr", "bce")),
        "training.modality_dropout": Range(low=0, high=0.5),
    }


def test_what_tells_rows_apart_is_not_tuned(tuned_file):
    axes = (
        "axes={fusion: [{name: lowrank_tensor, rank: 2}, {name: lowrank_tensor, rank: 3}], "
        "training.learning_rate: [0.01, 0.02]}"
    )
    for search in planned(tuned_file, axes, "controls=[]").searches:
        assert set(search.variants[0].space) == {"training.weight_decay"}


def test_an_option_that_changes_nothing_in_a_row_is_not_tuned_in_it(tuned_file):
    asked = "tune.spaces={training.modality_dropout: {low: 0.0, high: 0.5}}"
    balanced = ["experiment.balancer=ogm_ge", "controls=[ids_only, best_single_modality]"]
    found = {
        search.label: search.variants[0].space.keys()
        for search in planned(tuned_file, asked, *balanced).searches
    }
    assert "training.modality_dropout" not in found["IDs only"]
    assert "balancer.alpha" in found["concat"]
    assert not any(key.startswith("balancer") for key in found["best single modality"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tune.spaces={training.learning_rat: [1, 2]}", "did you mean 'training.learning_rate'"),
        ("tune.spaces={training.learning_rat: null}", "did you mean 'training.learning_rate'"),
        ("tune.spaces={fusion.rank: 3}", "tune.spaces.fusion.rank: found 3, expected {low:"),
        ("tune.spaces={fusion.rank: {low: 3, high: 1}}", "expected low < high, found 3.0 and 1.0"),
        ("tune.spaces={fusion.rank: {low: 0, high: 3}}", "tune.spaces.fusion.rank.low: found 0.0"),
        ("tune.spaces={fusion.rank: {low: 0, high: 3, log: true}}", "expected low > 0"),
        ("tune.spaces={fusion.rank: {low: 1, hihg: 3}}", "did you mean 'high'"),
        ("tune.spaces={fusion.rank: [4]}", "expected at least two values"),
        ("tune.spaces={training.loss: [bpr, bpp]}", "tune.spaces.training.loss.choices[1]: found"),
        ("tune.spaces={seed: [0, 1]}", "tune.spaces.seed: found 'seed', expected one of"),
        ("tune.spaces={evaluation.cutoffs: [[5], [10]]}", "found 'evaluation.cutoffs'"),
        ("tune.spaces={fusion: [concat, sum]}", "tune.spaces.fusion: found an axis"),
        (
            "tune.spaces={inputs.scaling: {low: 0, high: 1}}",
            "tune.spaces.inputs.scaling.low: found 0.0",
        ),
        ("tune.spaces={inputs.missing.test: [0.0, 0.5]}", "found 'inputs.missing.test', expected"),
        ("tune.spaces={inputs.missing.seed: [0, 1]}", "found 'inputs.missing.seed', expected"),
        ("tune.spaces={inputs.noise.test: [0.0, 1.0]}", "found 'inputs.noise.test', expected"),
        ("tune.metric=test/ndcg@5", "test is sealed until the final evaluation"),
        ("tune={trials: 9, objective: {split: test}}", "test is sealed until the final evaluation"),
        (
            "experiment.evaluation.select=test/ndcg@5",
            "evaluation.select: found 'test/ndcg@5', expected one of",
        ),
        ("experiment.evaluation.select=test/ndcg@5", "test is sealed until the final evaluation"),
        ("experiment.evaluation.split=test", "test is sealed until the final evaluation"),
        ("tune.trials=2", "tune.trials: found 2, expected at least 3: the row 'best single"),
        ("tune.trials=0", "tune.trials: found 0"),
        ("tune.trials=null", "expected a budget: trials, seconds or both"),
        ("tune.sampler=tpee", "tune.sampler: found 'tpee', expected one of: random, tpe"),
        (
            "experiment.transfer={source: {dataset.seed: 1}}",
            "tune: found beside a transfer; expected rows that are trained from the start",
        ),
        ("tune.trails=3", "tune.trails: unknown key: found 'trails'"),
    ],
)
def test_mistakes_are_named_before_anything_runs(tuned_file, override, message):
    with pytest.raises(FusionlabError) as error:
        planned(tuned_file, override)
    assert message in str(error.value)


def test_a_switch_has_no_range(tuned_file):
    told = r"tune\.spaces\.fusion\.whiten: found a range, expected a list: true or false"
    with pytest.raises(ConfigError, match=told):
        planned(tuned_file, "axes.fusion=[pca]", "tune.spaces={fusion.whiten: {low: 0, high: 1}}")


def test_a_study_is_not_tuned_unless_it_says_so(tuned_file):
    assert load_study(tuned_file, ["tune=null"]).tune is None
    assert planned(tuned_file, "tune=null").searches == []


def test_options_are_leaves_and_declarations_lie_among_them(tuned_file):
    experiment = load_study(tuned_file, ["experiment.fusion=lowrank_tensor"]).experiment
    found = options(experiment)
    assert {"fusion", "fusion.rank", "training.loss", "inputs.missing.train", "dim"} <= set(found)
    assert not {"training", "inputs", "seed", "dataset", "fusion.name"} & set(found)
    assert set(declared(experiment)) <= set(found)


def test_a_part_that_declares_what_it_does_not_have_is_named(tuned_file, monkeypatch):
    monkeypatch.setattr(family("fusion")["sum"], "space", {"depth": Range(low=1, high=2)})
    experiment = load_study(tuned_file, ["experiment.fusion=sum"]).experiment
    with pytest.raises(FusionlabError, match=r"Sum\.space: found \['depth'\]"):
        declared(experiment)


def test_spaces_are_read_as_they_are_written():
    assert read_space({"choices": [1, None, [2]]}) == Choice(choices=(1, None, [2]))
    assert str(read_space([1, None])) == "1 | null"
    assert str(Range(low=1e-4, high=1, log=True)) == "0.0001 to 1 (log)"
    assert Choice(choices=(1, True)).holds(True)
    assert not Range(low=0, high=2).holds(True)
    with pytest.raises(ConfigError, match="each once"):
        read_space([1, 1])


def test_a_budget_may_be_both():
    assert Tuning(trials=3, seconds=2.5).pruner == "median"
