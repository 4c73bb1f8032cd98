"""Files of finished studies and benchmarks: tables, or one error."""

import json

import pytest
from fake_runs import METRICS, fake_run, stored
from hypothesis import given
from hypothesis import strategies as st

from fusionlab.benchmarking.results import BenchReport
from fusionlab.benchmarking.tables import bench_table, compare_table
from fusionlab.evaluation.knockouts import KNOCKOUTS
from fusionlab.reporting.check import check_file
from fusionlab.reporting.contribution_figure import contribution_figure
from fusionlab.reporting.power_table import power_table
from fusionlab.reporting.render import to_terminal
from fusionlab.reporting.report import FORMATS
from fusionlab.reporting.results import RUNS_FOLDER, Results, read_results
from fusionlab.reporting.why import why
from fusionlab.schema import validate
from fusionlab.studies.audited import Audit
from fusionlab.studies.record import Row
from tests.fuzzing.budget import inputs
from tests.fuzzing.damage import BLOW, BLOWS, contents, damaged, struck
from tests.fuzzing.ground import bounded, ground, refusing_cleanly
from tests.fuzzing.test_fuzz_runs import TRIALS, ledger_of

__all__ = ["bounded", "ground"]

SUFFIXES = st.sampled_from(sorted(FORMATS))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The files of a study as an export has them, without those that are never read."""
    home = tmp_path_factory.mktemp("export")
    (home / RUNS_FOLDER).mkdir()

    def row(label, kind, mean, ledger=None):
        of = [
            fake_run(home / RUNS_FOLDER, label, seed, mean, mean, range(4), 0.1)
            for seed in range(2)
        ]
        return Row(label, kind, of, "feature", ledger=ledger)

    rows = [
        row("popularity", "control", 0.1),
        row("gated", "strategy", 0.2, ledger_of(trials=TRIALS)),
        row("product", "strategy", 0.3),
    ]
    stored(rows)
    results = Results("Study", rows, METRICS, "ndcg@20")
    results.write(home)
    for suffix, render in FORMATS.items():
        (home / f"quality.{suffix}").write_text(render(results.tables()["quality"]))
    return contents(home)


@pytest.mark.usefixtures("bounded")
def test_damaged_results_are_tables_or_one_error(exported, ground):
    @inputs("results of a study")
    @given(SUFFIXES, BLOWS)
    def read(suffix, damage):
        ground.lay(damaged(exported, damage))
        with refusing_cleanly():
            results = read_results(ground.root, ground.root / RUNS_FOLDER)
            tables = results.tables()
            for table in tables.values():
                to_terminal(table)
                FORMATS[suffix](table)
            for place in (("gated", "ndcg@20"), ("gated", "main")):
                with refusing_cleanly():
                    why("quality", tables["quality"], results.rows, *place)
            with refusing_cleanly():
                power_table(results, 0.01)
            check_file(ground.root / f"quality.{suffix}", tables)
        ground.check_untouched()

    read()


def test_undamaged_results_are_the_tables(exported, ground):
    ground.lay(exported)
    tables = read_results(ground.root, ground.root / RUNS_FOLDER).tables()
    assert [check_file(ground.root / f"quality.{one}", tables) for one in FORMATS] == [
        "quality"
    ] * len(FORMATS)


MEASURE = {
    "rounds": 20,
    "median_seconds": 0.01,
    "p10_seconds": 0.009,
    "p90_seconds": 0.02,
    "items_per_second": 2e5,
    "peak_mb": 12.5,
    "joules": 1.5,
    "flops": 10**9,
    "matmul_share": 0.5,
    "copy_share": 0.25,
}
BENCH = {
    "setting": {"modalities": {"text": {"dim": 384}, "image": {"dim": 512, "tokens": 49}}},
    "machine": dict.fromkeys(("device", "torch", "fusionlab", "python", "platform", "date"), "x"),
    "ceilings": {"matmul_gflops": {"fp32": 100.0}, "copy_gb_per_second": 10.0},
    "results": [
        {"fusion": "gated", "options": {"gate": "sigmoid"}, "parameters": 9, "workloads": works}
        for works in ({"train": MEASURE}, {"train": MEASURE, "rank": {**MEASURE, "joules": None}})
    ],
}


@pytest.mark.usefixtures("bounded")
def test_a_damaged_benchmark_is_a_table_or_one_error(ground):
    whole = validate(BenchReport, BENCH)
    content = whole.write(ground.root.parent / "bench.json").read_bytes()

    @inputs("results of a benchmark")
    @given(st.lists(BLOW, min_size=1, max_size=3))
    def read(blows):
        ground.lay({"bench.json": struck(content, blows)})
        with refusing_cleanly():
            found = BenchReport.read(ground.root / "bench.json")
            to_terminal(bench_table(found))
            to_terminal(compare_table(whole, found, ("old", "new")))
        ground.check_untouched()

    read()


TOLD = {
    "knockouts": {name: {"mean": 0.1, "error": 0.01} for name in KNOCKOUTS},
    "masked": {"mean": 0.1, "error": 0.01},
    "shapley": None,
}
AUDIT = {
    **dict.fromkeys(("run", "label", "metric", "unit", "coalition_training"), "x"),
    "split": "valid",
    "units": 9,
    "hidden": False,
    "whole": {"mean": 0.3, "error": 0.01},
    "nothing": None,
    "modalities": {"text": TOLD, "image": TOLD},
    "predicts": {"text": {"image": 0.5}},
    "view_weights": {"fused": 1.0},
}


@pytest.mark.usefixtures("bounded")
def test_a_damaged_audit_is_a_figure_or_one_error(ground):
    content = json.dumps(AUDIT).encode()

    @inputs("the audit of a run")
    @given(st.lists(BLOW, min_size=1, max_size=3))
    def read(blows):
        ground.lay({"audit.json": struck(content, blows)})
        with refusing_cleanly():
            contribution_figure(Audit.read(ground.root / "audit.json"))
        ground.check_untouched()

    read()
