"""Transfers as rows of a study: what they are called, and that their sources are encoded."""

from fusionlab.config import load_study
from fusionlab.studies.study import encoding_experiments, plan


def test_rows_of_a_study_are_called_by_what_is_done(study_file):
    source = "{source: {dataset: {seed: %d, users: 70}}, tune: %s}"
    one = [source % (1, "false"), source % (1, "true"), "null"]
    two = [source % (1, "false"), source % (2, "false"), "null"]

    def labels(*overrides):
        planned = plan(load_study(study_file, ["axes.fusion=[concat]", *overrides]))
        transferred = {
            variant.label: variant.runs[0][1].transfer is not None
            for row in planned.rows
            for variant in row.variants
        }
        return list(transferred)[:3], [x for x in transferred if transferred[x]]

    rows = ["concat, zero-shot", "concat, fine-tuned", "concat, from scratch"]
    assert labels(f"axes.transfer=[{', '.join(one)}]") == (rows, rows[:2])
    seeds = ["concat, zero-shot (seed=1)", "concat, zero-shot (seed=2)", "concat, from scratch"]
    assert labels(f"axes.transfer=[{', '.join(two)}]") == (seeds, seeds[:2])
    base = f"experiment.transfer={source % (1, 'false')}"
    assert labels(base, "axes.transfer=[{tune: false}, {tune: true}, null]") == (rows, rows[:2])
    found, transferred = labels(base, "axes.transfer.tune=[false, true]")
    assert found[:2] == transferred == rows[:2]  # controls know of no source


def test_sources_are_encoded_too(study_file):
    axis = "axes.transfer=[null, {source: {dataset: {seed: 7}}}]"
    found = encoding_experiments(load_study(study_file, [axis]))
    assert [one.dataset.seed for one in found] == [0, 7]
