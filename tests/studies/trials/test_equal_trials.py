"""Every row gets the same number of trials, from seeds of its own, and the same whoever runs it."""

import json
from dataclasses import replace

import pytest
from small_studies import planned, run_study, tried

from fusionlab.config import load_study
from fusionlab.errors import FusionlabError
from fusionlab.seal import Sealed
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan
from fusionlab.studies.trials import trial as trial_module
from fusionlab.studies.trials.trial import run_trial
from fusionlab.studies.trials.tune import tune


def test_every_row_has_the_trials_that_were_asked_for(in_peace):
    _, _, found = in_peace
    counts = {label: len(trials) for label, trials in found.items()}
    assert counts == {
        "concat": 9,
        "lowrank_tensor": 9,
        "popularity": 1,  # there is nothing to tune
        "best single modality": 9,  # of which three are its variants as they are written
    }
    single = found["best single modality"]
    assert [changes for _, _, changes, _, _ in single[:3]] == [{}] * 3
    assert {variant for _, variant, *_ in single[:3]} == {
        f"best single modality ({name})" for name in ("text", "image", "audio")
    }
    for label, trials in found.items():
        assert trials[0][2] == {}, label
        drawn = [changes for _, _, changes, _, _ in trials if changes]
        assert len({json.dumps(changes) for changes in drawn}) == len(drawn)


def test_something_was_pruned_and_only_by_earlier_trials_of_its_row(in_peace):
    _, _, found = in_peace
    outcomes = {label: [outcome for *_, outcome, _ in trials] for label, trials in found.items()}
    assert any("pruned" in row for row in outcomes.values())
    assert all(row[:5] == ["complete"] * len(row[:5]) for row in outcomes.values())


def test_rows_draw_apart_and_a_seed_moves_all(in_peace, tuned_file):
    searches, _, found = in_peace
    rates = {
        label: [changes.get("training.learning_rate") for _, _, changes, _, _ in trials][3]
        for label, trials in found.items()
        if len(trials) > 3
    }
    assert len(set(rates.values())) == len(rates) == 3
    seeds = {search.seed(number) for search in searches for number in range(9)}
    assert len(seeds) == 9 * len(searches)
    other = planned(tuned_file, "tune.seed=1").searches
    assert not seeds & {search.seed(number) for search in other for number in range(9)}


def test_the_chosen_options_are_those_of_the_best_trial(in_peace, tuned_file):
    searches, store, _ = in_peace
    first = planned(tuned_file)
    assert first.runs == {}  # nothing runs before it is tuned
    second = first.tuned(store)
    for search, row in zip(searches, second.rows, strict=True):
        trials = search.finished(store)
        best = max((one for one in trials if one.outcome == "complete"), key=lambda one: one.value)
        (variant,) = row.variants
        assert variant.label == best.variant
        assert [experiment.seed for _, experiment in variant.runs] == [0, 1]
        written = search.chosen(best).experiment
        for _, experiment in variant.runs:
            assert experiment == written.varied({**best.changes, "seed": experiment.seed})
        assert best.value >= max(one.value for one in trials[: len(search.variants)])


class Interrupted(BaseException):
    """As a kill: nothing of the package catches it."""


def test_a_study_interrupted_after_each_trial_and_inside_each_finds_the_same(
    in_peace, tuned_file, tmp_path, monkeypatch
):
    searches, _, found = in_peace
    store, whole = RunStore(tmp_path / "runs"), trial_module.train
    begun = set()

    def interrupted(experiment, task, checkpoint, on_epoch=None, stop=None):
        """The first attempt at each trial dies after two epochs, with a checkpoint of one."""
        first = checkpoint not in begun
        begun.add(checkpoint)

        def die(entry):
            if first and entry["epoch"] == 2:
                raise Interrupted

        return whole(experiment, task, checkpoint, die, stop)

    monkeypatch.setattr(trial_module, "train", interrupted)
    monkeypatch.setattr("fusionlab.training.loop.CHECKPOINT_SECONDS", 0.0)
    done = 0
    for _ in range(60):
        try:
            tune(planned(tuned_file).searches, store)
            break
        except Interrupted:
            done += 1
    assert 10 < done < 60  # a trial that is pruned in its first epoch does not get so far
    assert tried(searches, store) == found
    assert not any((store.root / ".partial").iterdir())


def test_a_trial_that_fails_leaves_no_empty_folder(tuned_file, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise Interrupted

    monkeypatch.setattr(trial_module, "build_task", broken)
    store = RunStore(tmp_path / "runs")
    with pytest.raises(Interrupted):
        tune(planned(tuned_file).searches, store)
    assert not any((store.root / ".partial").iterdir())


def test_two_workers_find_the_same(in_peace, tuned_file, tmp_path):
    searches, _, found = in_peace
    store = RunStore(tmp_path / "runs")
    tune(planned(tuned_file).searches, store, workers=2)
    assert tried(searches, store) == found


def test_a_larger_budget_goes_on_from_a_smaller_one(in_peace, tuned_file, tmp_path):
    searches, _, found = in_peace
    store = RunStore(tmp_path / "runs")
    less = planned(tuned_file, "tune.trials=4").searches
    tune(less, store)
    assert tried(less, store) == {label: trials[:4] for label, trials in found.items()}
    done = {file: file.stat().st_mtime_ns for file in store.root.glob("searches/*/*/trial.json")}
    tune(planned(tuned_file).searches, store)
    assert tried(searches, store) == found
    assert all(file.stat().st_mtime_ns == when for file, when in done.items())
    assert tried(less, store) == {label: trials[:4] for label, trials in found.items()}


def test_trials_never_open_test(tuned_file, tmp_path, monkeypatch):
    def opened(self, ledger, why):
        raise AssertionError(f"opened: {why}")

    store = RunStore(tmp_path / "runs")
    with monkeypatch.context() as patch:
        patch.setattr(Sealed, "open", opened)
        tune(planned(tuned_file, "tune.trials=3").searches, store)
    rows = run_study(tuned_file, store, "tune.trials=3")
    for row in rows:
        for record in row.records:
            opened_for = [(one["what"], one["why"]) for one in record.test_opened]
            assert opened_for == [("test interactions", "final evaluation")]


def test_other_test_labels_change_nothing_of_the_search(in_peace, tuned_file, tmp_path):
    from fusionlab.studies.datasets import load_dataset

    searches, _, found = in_peace
    dataset = load_dataset(searches[0].variants[0].experiment)
    clicks = dataset.interactions
    content = clicks.test._content
    turned = replace(content, items=(content.items + 7) % content.n_items)
    other = replace(dataset, interactions=replace(clicks, test=Sealed("test", turned)))
    study = load_study(tuned_file, ["axes.fusion=[concat]", "controls=[]", "tune.trials=4"])
    store = RunStore(tmp_path / "runs")
    (search,) = plan(study, lambda experiment: other).searches
    for number in range(4):
        run_trial(search, number, store)
    assert [one.value for one in search.finished(store)] == [
        value for *_, value in found["concat"][:4]
    ]


def test_a_busy_trial_is_left_to_its_owner(in_peace, tmp_path):
    search = in_peace[0][0]
    store = RunStore(tmp_path / "runs")
    with store.lock(search.trial_id(0)):
        assert run_trial(search, 0, RunStore(tmp_path / "runs"), patient=False) is None
    assert run_trial(search, 0, store).changes == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_that_cannot_be_tuned_is_named_and_the_others_go_on(tuned_file, tmp_path, workers):
    plugin = tmp_path / "boom.py"
    name = f"boom_tuned_{workers}"
    plugin.write_text(
        "from fusionlab.fusion.contract import FUSIONS, Fusion, Level\n"
        f"@FUSIONS.register('{name}')\n"
        "class Boom(Fusion):\n"
        "    level, additive = Level.FEATURE, True\n"
        "    def forward(self, items):\n"
        "        raise ValueError('matrix of the wrong shape')\n"
    )
    overrides = [f"axes.fusion=[concat, {name}]", "controls=[]", "tune.trials=2"]
    searches = plan(load_study(tuned_file, overrides, [str(plugin)])).searches
    store = RunStore(tmp_path / "runs")
    with pytest.raises(FusionlabError, match="1 of 2 rows could not be tuned") as error:
        tune(searches, store, workers=workers)
    assert f"{name}: ValueError: matrix of the wrong shape" in str(error.value)
    assert len(searches[0].finished(store)) == 2
    assert searches[1].finished(store) == []


def test_diverged_trials_count_and_are_never_chosen(tuned_file, tmp_path):
    spaces = "tune.spaces={training.learning_rate: {low: 1.0e30, high: 1.0e32, log: true}}"
    store = RunStore(tmp_path / "runs")
    overrides = [spaces, "axes.fusion=[concat]", "controls=[]", "tune.trials=3"]
    (row,) = run_study(tuned_file, store, *overrides)
    assert [one.outcome for one in row.ledger.trials] == ["complete", "diverged", "diverged"]
    assert row.ledger.best.number == 0
    alone = [*overrides, "experiment.training.learning_rate=1e31"]
    with pytest.raises(FusionlabError, match="row 'concat': none of 3 trials was completed"):
        run_study(tuned_file, store, *alone)


def test_a_budget_in_seconds_begins_no_trial_after_it(tuned_file, tmp_path):
    store = RunStore(tmp_path / "runs")
    overrides = ["axes.fusion=[concat]", "controls=[]", "tune={trials: null, seconds: 1.5}"]
    (search,) = planned(tuned_file, *overrides).searches
    tune([search], store)
    trials = search.finished(store)
    spent = [one.seconds for one in trials]
    assert sum(spent) >= 1.5
    assert sum(spent[:-1]) < 1.5
    tune([search], store)  # nothing more: what is in the store says that the time is spent
    assert search.finished(store) == trials


def test_a_closed_form_has_its_own_options_tuned_and_none_of_training(tuned_file, tmp_path):
    store = RunStore(tmp_path / "runs")
    overrides = ["axes.fusion=[concat]", "axes.recommender=[ease]", "controls=[]", "tune.trials=4"]
    (search,) = planned(tuned_file, *overrides).searches
    tune([search], store)
    trials = search.finished(store)
    assert [sorted(one.changes) for one in trials] == [[], *[["recommender.l2"]] * 3]
    assert len({one.value for one in trials}) > 1
    assert not any(one.trained for one in trials)
