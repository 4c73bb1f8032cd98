"""What Optuna draws and when it gives up, and the storages that its tools read."""

import optuna
import pytest
from small_studies import planned

from fusionlab.errors import ConfigError
from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.mirror import Mirror
from fusionlab.studies.trials.optuna_study import optuna_study, propose, stopper
from fusionlab.studies.trials.records import Trial
from fusionlab.studies.trials.tune import tune


def trial(number, values, outcome="complete", **changes):
    history = [{"epoch": k + 1, "loss": 1.0, "ndcg@5": value} for k, value in enumerate(values)]
    value = max(values) if outcome != "diverged" else None
    return Trial(number, "concat", changes, outcome, value, True, 1.0, 1.0, history)


@pytest.fixture
def search(tuned_file):
    return planned(tuned_file, "axes.fusion=[concat]", "controls=[]").searches[0]


def test_a_trial_is_given_up_below_the_median_of_complete_trials_at_its_epoch(search):
    experiment = search.variants[0].experiment
    done = [trial(k, [0.1 * k, 0.2 + 0.1 * k]) for k in range(5)]  # medians .2 and .4
    stop = stopper(search, done, experiment)

    def told(*values):
        return [{"epoch": k + 1, "ndcg@5": value} for k, value in enumerate(values)]

    assert stop(told(0.19)) is True
    assert stop(told(0.21)) is False
    assert stop(told(0.3, 0.39)) is True
    assert stop(told(0.41, 0.1)) is False  # once it was better
    assert stop(told(0.1, 0.1, 0.1)) is False  # nobody went so far: there is no median


def test_only_complete_trials_count_and_five_of_them(search):
    experiment = search.variants[0].experiment
    done = [trial(k, [0.5]) for k in range(4)]
    assert stopper(search, [*done, trial(4, [0.5], "pruned")], experiment) is None
    assert stopper(search, [*done, trial(4, [0.5])], experiment) is not None


def test_nobody_is_given_up_in_the_first_tenth_or_without_a_pruner(search, tuned_file):
    experiment = search.variants[0].experiment
    done = [trial(k, [0.5, 0.5]) for k in range(5)]
    stop = stopper(search, done, experiment.varied({"training.epochs": 20}))
    assert stop([{"epoch": 1, "ndcg@5": 0.1}]) is False
    assert stop([{"epoch": 1, "ndcg@5": 0.1}, {"epoch": 2, "ndcg@5": 0.1}]) is True
    bare = planned(tuned_file, "axes.fusion=[concat]", "controls=[]", "tune.pruner=none")
    assert stopper(bare.searches[0], done, experiment) is None


def test_the_sampler_learns_from_earlier_trials_and_a_random_one_does_not(search, tuned_file):
    """Where only high learning rates were good, TPE draws high ones."""
    rates = [10**-k for k in (2, 2.2, 2.4, 3.2, 3.4, 3.5, 3.6, 3.7, 3.8, 3.9)] * 3

    def done(of):
        return [
            trial(0, [0.5]),
            *(
                trial(
                    k + 1,
                    [rate * 50],
                    **{"training.learning_rate": rate, "training.weight_decay": 1e-3},
                )
                for k, rate in enumerate(rates)
            ),
        ]

    def drawn(of):
        found = []
        earlier = done(of)
        for extra in range(12):
            _, changes = propose(of, [*earlier, *(trial(31 + k, [0.1]) for k in range(extra))])
            found.append(changes["training.learning_rate"])
        return sum(rate > 3e-3 for rate in found)

    blind = planned(
        tuned_file, "axes.fusion=[concat]", "controls=[]", "tune.sampler=random"
    ).searches[0]
    assert drawn(search) > drawn(blind) + 2
    assert drawn(search) == drawn(search)


def test_a_diverged_trial_is_told_as_worse_than_all_others(search):
    study = optuna_study(search, [trial(0, [0.2]), trial(1, [0.9], "diverged")])
    worst = study.get_trials()[1]
    assert worst.state == optuna.trial.TrialState.PRUNED
    assert worst.intermediate_values == {}
    assert study.best_trial.number == 0


def test_what_is_written_outside_the_space_is_left_out_of_what_optuna_hears(search):
    study = optuna_study(search, [trial(0, [0.2])])
    # learning_rate 0.01 stands inside its space, weight_decay 0 does not
    assert study.get_trials()[0].params == {"training.learning_rate": 0.01}


def test_a_journal_file_and_a_database_hold_the_trials(search, tmp_path):
    store = RunStore(tmp_path / "runs")
    url = f"sqlite:///{tmp_path / 'trials.db'}"
    tune([search], store)
    tune([search], store, storage=url)
    journal = str(search.folder(store).folder / "optuna.log")
    backend = optuna.storages.journal.JournalFileBackend(journal)
    name = f"concat {search.id[:12]}"
    for storage in (optuna.storages.JournalStorage(backend), optuna.storages.RDBStorage(url)):
        study = optuna.load_study(study_name=name, storage=storage)
        found = [(one.number, one.user_attrs["outcome"], one.value) for one in study.trials]
        assert found == [(o.number, o.outcome, o.value) for o in search.finished(store)]
        assert study.best_trial.number == search.ledger(store).best.number


def test_a_torn_or_lagging_journal_is_brought_up_to_date(search, tmp_path):
    store = RunStore(tmp_path / "runs")
    tune([search], store)
    file = search.folder(store).folder / "optuna.log"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    Mirror(store, None).bring_up_to_date(search)
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert [one.value for one in study.trials] == [one.value for one in search.finished(store)]


@pytest.mark.parametrize("line", [b"{}", b"no JSON", b"[]", b'{"op_code": 99}', b"\xff"])
def test_a_damaged_journal_is_written_anew(search, tmp_path, line):
    store = RunStore(tmp_path / "runs")
    tune([search], store)
    file = search.folder(store).folder / "optuna.log"
    first, _, rest = file.read_bytes().partition(b"\n")
    file.write_bytes(b"\n".join([first, line, rest]))
    Mirror(store, None).bring_up_to_date(search)
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    study = optuna.load_study(study_name=None, storage=optuna.storages.JournalStorage(backend))
    assert [one.value for one in study.trials] == [one.value for one in search.finished(store)]


def test_a_database_that_cannot_be_opened_is_named(tmp_path):
    for url in ("nosuch://", "words", f"sqlite:///{tmp_path}/no/folder/t.db"):
        with pytest.raises(ConfigError, match=r"tune\.storage: found .*cannot be opened"):
            Mirror(RunStore(tmp_path), url)
