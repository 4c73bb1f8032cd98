"""A strategy that asks for test interactions, while it is built, trained, tuned or judged."""

import pytest

from fusionlab.config import load_study
from fusionlab.errors import FusionlabError
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.study import plan
from fusionlab.studies.trials.tune import tune

CHEAT = """
from pathlib import Path

from fusionlab.config import load_study
from fusionlab.data.inspect import inspect
from fusionlab.seal import Openings, shut
from fusionlab.fusion.contract import FUSIONS
from fusionlab.fusion.feature_level.sum import Sum
from fusionlab.studies.datasets import load_dataset


def ask():
    dataset = load_dataset(load_study(Path({study!r})).experiment)
    test = dataset.interactions.test
    {ask}


if {where!r} == "import":
    ask()


@FUSIONS.register({name!r})
class Cheat(Sum):
    def fit(self, items):
        if {where!r} == "fit":
            ask()

    def forward(self, items):
        if {where!r} == ("forward" if self.training else "judged"):
            ask()
        return super().forward(items)
"""
WAYS = {
    "items": "test.items",
    "len": "len(test)",
    "loop": "list(test)",
    "index": "test[0]",
    "open": "test.open(Openings(), 'just looking')",
    "mapped": "test.mapped(lambda clicks: print(clicks) or clicks)",
    "inspect": "inspect(dataset)",
    "shut": "mine = Openings()\n    with shut(mine): test.open(mine, 'just looking')",
}


def cheating(study_file, tmp_path, way, where):
    """The study of a strategy that cheats."""
    name = f"cheat_{tmp_path.name}"
    plugin = tmp_path / "cheat.py"
    said = {"study": str(study_file), "ask": WAYS[way], "name": name, "where": where}
    plugin.write_text(CHEAT.format(**said))
    overrides = [f"axes.fusion=[{name}]", f"experiment.fusion={name}", "controls=[]"]
    return load_study(study_file, overrides, [str(plugin)])


@pytest.mark.parametrize(
    ("way", "where"),
    [*((way, "fit") for way in WAYS), ("open", "forward"), ("open", "judged")],
)
def test_a_strategy_that_asks_for_test_is_refused(study_file, tmp_path, way, where):
    study, store = cheating(study_file, tmp_path, way, where), RunStore(tmp_path / "runs")
    with pytest.raises(FusionlabError, match="test interactions are sealed"):
        run_experiment(study.experiment, store)
    assert store.runs() == []


@pytest.mark.parametrize("way", ["open", "shut"])
def test_nor_may_its_file_ask_when_it_is_imported(study_file, tmp_path, way):
    with pytest.raises(FusionlabError, match="test interactions are sealed"):
        cheating(study_file, tmp_path, way, "import")


@pytest.mark.parametrize("where", ["fit", "forward", "judged"])
def test_and_so_it_is_in_a_trial(study_file, tmp_path, where):
    study = cheating(study_file, tmp_path, "open", where)
    tuned = study.model_copy(update={"tune": load_study(study_file, ["tune.trials=2"]).tune})
    store = RunStore(tmp_path / "runs")
    with pytest.raises(FusionlabError, match="test interactions are sealed"):
        tune(plan(tuned).searches, store)
    assert not [*store.root.glob("searches/*/*/trial.json")]


def test_outside_a_run_labels_open_and_say_that_they_were(study_file):
    from fusionlab.seal import Openings, shut
    from fusionlab.studies.datasets import load_dataset

    test = load_dataset(load_study(study_file).experiment).interactions.test
    ledger = Openings()
    assert len(test.open(ledger, "a look"))
    with shut(ledger):
        assert len(test.open(ledger, "the run's own"))
        with pytest.raises(FusionlabError, match="sealed"):
            test.open(Openings(), "another's")
    assert [entry["why"] for entry in ledger.entries] == ["a look", "the run's own"]
    assert test.mapped(lambda clicks: clicks)
