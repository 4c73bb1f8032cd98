"""Results as JSON and their ratios."""

import json

import pytest

from fusionlab.benchmarking.results import (
    BenchReport,
    Ceilings,
    FusionResult,
    Machine,
    Measure,
    Setting,
    describe_modalities,
    parse_modalities,
    ratios,
)
from fusionlab.benchmarking.tables import bench_table, compare_table, three
from fusionlab.data.features import FeatureSpec
from fusionlab.errors import FusionlabError

SPECS = {"text": FeatureSpec(384), "image": FeatureSpec(512, 49)}


def report(seconds, device="a processor", **setting):
    """One workload a fusion, of the given median seconds."""
    results = [
        FusionResult(
            fusion=name,
            parameters=10,
            workloads={
                "forward": Measure(
                    rounds=5,
                    median_seconds=median,
                    p10_seconds=median,
                    p90_seconds=median,
                    items_per_second=1 / median,
                    peak_mb=1.0,
                    joules=None,
                    flops=100,
                    matmul_share=0.5,
                    copy_share=0.25,
                )
            },
        )
        for name, median in seconds.items()
    ]
    machine = Machine(
        device=device, torch="2", fusionlab="0", python="3", platform="x", date="2000-01-01"
    )
    ceilings = Ceilings(matmul_gflops={"fp32": 1.0, "bf16": 2.0}, copy_gb_per_second=3.0)
    asked = Setting(**{"modalities": SPECS, **setting})
    return BenchReport(setting=asked, machine=machine, ceilings=ceilings, results=results)


def test_a_report_comes_back_from_its_file(tmp_path):
    written = report({"sum": 0.1, "gated": 0.2}, items=7)
    assert BenchReport.read(written.write(tmp_path / "new" / "a.json")) == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "a mapping of keys"),
        ('{"setting": {"itmes": 3}}', "did you mean 'items'?"),
    ],
)
def test_a_broken_file_is_named(content, message, tmp_path):
    file = tmp_path / "broken.json"
    file.write_text(content)
    with pytest.raises(FusionlabError, match=r"broken\.json") as caught:
        BenchReport.read(file)
    assert message in str(caught.value)


def test_a_file_whose_name_is_too_long_is_none(tmp_path):
    with pytest.raises(FusionlabError, match="no such file"):
        BenchReport.read(tmp_path / ("x" * 300))


def test_a_file_without_a_median_is_named(tmp_path):
    data = json.loads(report({"sum": 0.1}).model_dump_json())
    data["results"][0]["workloads"]["forward"]["median_seconds"] = 0
    (tmp_path / "zero.json").write_text(json.dumps(data))
    with pytest.raises(FusionlabError, match=r"zero\.json.*median_seconds"):
        BenchReport.read(tmp_path / "zero.json")


@pytest.mark.parametrize("figure", ["median_seconds", "peak_mb", "joules"])
def test_a_figure_that_is_no_number_is_named(figure, tmp_path):
    """JSON as Python reads and writes it has NaN and Infinity."""
    for wrong in (float("inf"), float("nan")):
        data = report({"sum": 0.1}).model_dump()
        data["results"][0]["workloads"]["forward"][figure] = wrong
        (tmp_path / "wrong.json").write_text(json.dumps(data))
        with pytest.raises(FusionlabError, match=rf"wrong\.json.*{figure}"):
            BenchReport.read(tmp_path / "wrong.json")


def test_ratios_are_new_over_old():
    found = ratios(report({"sum": 0.1, "max": 1.0}), report({"sum": 0.05, "mean": 1.0}))
    assert [(one.fusion, one.workload, one.ratio) for one in found] == [("sum", "forward", 0.5)]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"items": 5}, "items is 2048 in the old file and 5"),
        ({"precision": "bf16"}, "precision is fp32"),
        ({"modalities": {"text": FeatureSpec(3)}}, "modalities is text=1x384, image=49x512"),
    ],
)
def test_other_sizes_do_not_compare(other, message):
    with pytest.raises(FusionlabError, match=message):
        ratios(report({"sum": 0.1}), report({"sum": 0.1}, **other))


def test_a_report_from_before_options_were_kept_reads_as_without_any(tmp_path):
    written = report({"sum": 0.1})
    data = json.loads(written.model_dump_json())
    del data["results"][0]["options"]
    (tmp_path / "old.json").write_text(json.dumps(data))
    assert BenchReport.read(tmp_path / "old.json") == written


def test_nothing_in_common_is_an_error():
    with pytest.raises(FusionlabError, match="old one has sum, the new one max"):
        ratios(report({"sum": 0.1}), report({"max": 0.1}))


def test_the_comparison_says_where_the_calls_differ():
    old, new = report({"sum": 0.1, "max": 1.0}), report({"sum": 0.2}, "another", threads=2)
    table = compare_table(old, new, ("a.json", "b.json"))
    notes = " ".join(table.notes)
    assert "the device differ: a processor and another" in notes
    assert "the threads differ: 1 and 2" in notes
    assert "max (only old)" in notes
    assert [cell.text for cell in next(table.rows())] == [
        "sum",
        "100 (100 to 100)",
        "200 (200 to 200)",
        "2.00",
    ]


def test_joules_have_a_column_only_where_counted():
    one = report({"sum": 0.1})
    assert "J" not in [column.name for column in bench_table(one).columns]
    first = one.results[0].workloads["forward"].model_copy(update={"joules": 2.0})
    results = [one.results[0].model_copy(update={"workloads": {"forward": first}})]
    counted = bench_table(one.model_copy(update={"results": results}))
    assert "J" in [column.name for column in counted.columns]


def test_modalities_are_read_and_written():
    assert parse_modalities(("text=384", "image=49x512")) == SPECS
    assert parse_modalities(describe_modalities(SPECS).split(", ")) == SPECS


@pytest.mark.parametrize("written", ["text", "text=", "text=0", "text=2x", "=3", "text=-1"])
def test_a_wrong_modality_says_what_is_expected(written):
    with pytest.raises(FusionlabError, match="expected NAME=WIDTH"):
        parse_modalities((written,))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (("text=3", "text=4"), "--modality: found 'text' twice, expected each name once"),
        (("fused=3",), "--modality: found the name 'fused', which is reserved; expected another"),
    ],
)
def test_a_name_is_free_and_stands_once(written, said):
    with pytest.raises(FusionlabError, match=said):
        parse_modalities(written)


def test_three_digits():
    assert [three(x) for x in (0, 0.01234, 1.234, 12.34, 1234)] == [
        "0", "0.0123", "1.23", "12.3", "1,234",
    ]  # fmt: skip
