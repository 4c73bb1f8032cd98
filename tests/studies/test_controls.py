"""Controls: what a study sets beside its strategies."""

import pytest

from fusionlab.config import load_study
from fusionlab.studies.study import plan


def ids_only(study_file, recommender, control="ids_only"):
    """The configuration of the row on IDs of a study of this recommender."""
    overrides = [f"experiment.recommender={recommender}", f"controls=[{control}]"]
    row = plan(load_study(study_file, overrides)).rows[-1]
    assert row.variants[0].label == "IDs only"
    return row.variants[0].runs[0][1].recommender.model_dump()


@pytest.mark.parametrize(
    ("recommender", "counterpart"),
    [
        ("content", {"name": "bpr_mf", "l2": 0.01}),
        ("{name: hybrid, l2: 0.3}", {"name": "bpr_mf", "l2": 0.3}),
        (
            "{name: item_graph, l2: 0.3, layers: 3, neighbours: 5}",
            {"name": "lightgcn_id", "l2": 0.3, "layers": 3},
        ),
        (
            "{name: lightgcn, l2: 0.3, layers: 3, item_ids: false}",
            {"name": "lightgcn_id", "l2": 0.3, "layers": 3},
        ),
    ],
)
def test_ids_only_is_the_same_recommender_without_content(study_file, recommender, counterpart):
    assert ids_only(study_file, recommender) == counterpart


def test_ids_only_takes_an_l2_of_its_own(study_file):
    found = ids_only(study_file, "{name: hybrid, l2: 0.3}", "{name: ids_only, l2: 0.1}")
    assert found == {"name": "bpr_mf", "l2": 0.1}
