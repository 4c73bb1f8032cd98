"""Designs: a grid, or one change of the base a row; components that are dropped."""

from pathlib import Path

import pytest

from fusionlab.config import load_study
from fusionlab.errors import ConfigError
from fusionlab.studies.study import plan

STUDIES = Path(__file__).parents[2] / "configs" / "studies"
ONE = "design=one_at_a_time"


def strategies(planned):
    return [row.variants[0].label for row in planned.rows if row.kind == "strategy"]


def test_one_at_a_time_is_the_base_and_each_other_value_alone(study_file):
    axes = "axes={fusion: [concat, sum], dim: [8, 16], training.modality_dropout: [0, 0.5]}"
    study = load_study(study_file, [ONE, axes])
    planned = plan(study)
    assert strategies(planned) == ["base", "sum", "dim=16", "modality_dropout=0.5"]
    assert planned.reference == "base"
    base = planned.rows[0].variants[0].runs[0][1]
    for row in planned.rows[1:4]:
        (_, experiment), *_ = row.variants[0].runs
        changed = [
            name
            for name in type(base).model_fields
            if getattr(base, name) != getattr(experiment, name)
        ]
        assert len(changed) == 1
    assert len(plan(load_study(study_file, [axes])).rows) == 8 + 4  # the full grid, and controls


def test_a_named_reference_wins_and_a_grid_has_none(study_file):
    assert plan(load_study(study_file)).reference is None
    named = load_study(study_file, [ONE, "report.reference=popularity"])
    assert plan(named).reference == "popularity"


def test_components_are_dropped_one_by_one(study_file):
    study_file.write_text(
        study_file.read_text().replace("axes: {fusion: [concat, lowrank_tensor]}\n", "")
        + "design: one_at_a_time\n"
        + "drop:\n"
        + "  without audio: {inputs.modalities: [text, image]}\n"
        + "  without scaling: {inputs: {scaling: none}}\n"
    )
    planned = plan(load_study(study_file))
    assert strategies(planned) == ["base", "without audio", "without scaling"]
    experiments = [row.variants[0].runs[0][1] for row in planned.rows[:3]]
    assert experiments[1].inputs.modalities == ("text", "image")
    assert (experiments[0].inputs.scaling, experiments[2].inputs.scaling) == ("modality", "none")
    assert experiments[2].inputs.modalities is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("drop={a: {dim: 4}}",), "drop: found components beside a grid, expected design: one_at"),
        ((ONE, "drop={a: {dim: 8}}"), "drop.a: found {'dim': 8}, which the base is already"),
        ((ONE, "drop={a: {dmi: 8}}"), "did you mean 'dim'"),
        ((ONE, "drop={base: {dim: 4}}"), "found two rows 'base'"),
        (("design=one_by_one",), "design: "),
        ((ONE, "axes.seed=[1]"), "axes.seed: a row is a mean over seeds"),
    ],
)
def test_mistakes_are_named(study_file, overrides, message):
    with pytest.raises(ConfigError) as error:
        plan(load_study(study_file, overrides))
    assert message in str(error.value)


def test_the_studies_of_the_ablation_are_read():
    small = ["experiment.dataset.users=60", "experiment.dataset.items=40", "seeds=[0]"]
    small.append("experiment.dataset.clicks=12")
    found = strategies(plan(load_study(STUDIES / "components.yaml", small)))
    assert found[0] == "base"
    assert {"without the gate", "without audio", "recommender=content", "balancer=ogm_ge"} <= {
        *found
    }
    grid = strategies(plan(load_study(STUDIES / "strategies_and_widths.yaml", small)))
    assert len(grid) == 6
