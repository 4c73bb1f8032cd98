"""Linear probes of features whose content is known."""

from dataclasses import replace

import pytest
import torch

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.atom_probes import probe_atoms
from fusionlab.reporting.probes_figure import probes_figure

OPTIONS = {"task": "classification", "items": 3000, "alphabet": 3, "flip": 0.1, "nuisance": 0}


@pytest.fixture(scope="module")
def dataset():
    return Synthetic(noise=0, **OPTIONS).load()


def test_clean_features_are_read_at_the_bayes_value(dataset):
    """Within three standard errors of 300 validation items; of a share nothing is flipped."""
    found = list(probe_atoms(dataset))
    assert len(found) == 9
    for one in found:
        assert one.bayes == (1.0 if one.atom == "synergy" else 0.9)
        spread = 3 * (one.bayes * (1 - one.bayes) / 300) ** 0.5
        assert one.accuracy == pytest.approx(one.bayes, abs=spread + 1e-9), one


def test_features_of_other_items_are_read_no_better_than_by_guessing(dataset):
    order = torch.randperm(3000, generator=torch.Generator().manual_seed(0))
    for one in probe_atoms(replace(dataset, features=dataset.features.take(order))):
        assert one.chance == pytest.approx(1 / 3)
        assert one.accuracy == pytest.approx(1 / 3, abs=4 * (2 / 9 / 300) ** 0.5), one


def test_an_atom_that_a_modality_lacks_is_not_asked_of_it(dataset):
    held = {"text": {"redundant", "unique_text", "synergy"}}
    for name in ("image", "audio"):
        held[name] = {"redundant", f"unique_{name}", "synergy"}
    found = list(probe_atoms(dataset))
    assert {name: {one.atom for one in found if one.modality == name} for name in held} == held


@pytest.mark.parametrize("unknown", ["truth", "labels"])
def test_without_a_known_answer_nothing_is_probed(dataset, unknown):
    with pytest.raises(FusionlabError, match="expected a synthetic catalogue"):
        list(probe_atoms(replace(dataset, **{unknown: None})))


def test_every_probe_stands_in_the_figure(dataset):
    found = list(probe_atoms(dataset))
    axes = probes_figure(found).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"{one.modality}: {one.atom}" for one in found]
    drawn = {line.get_label(): line.get_xdata() for line in axes.lines}
    assert list(drawn["linear probe"]) == [one.accuracy for one in found]
    with pytest.raises(FusionlabError, match="found no probe"):
        probes_figure([])
