"""The tuned study as a file, and its trials, run once in peace."""

import pytest
from small_studies import STUDY, planned, tried

from fusionlab.studies.store import RunStore
from fusionlab.studies.trials.tune import tune


@pytest.fixture
def tuned_file(tmp_path):
    file = tmp_path / "tuned.yaml"
    file.write_text(STUDY)
    return file


@pytest.fixture(scope="session")
def in_peace(tmp_path_factory):
    """The searches of the study, the store in which they ran uninterrupted, and what was tried."""
    folder = tmp_path_factory.mktemp("peace")
    (folder / "tuned.yaml").write_text(STUDY)
    searches, store = planned(folder / "tuned.yaml").searches, RunStore(folder / "runs")
    tune(searches, store)
    return searches, store, tried(searches, store)
