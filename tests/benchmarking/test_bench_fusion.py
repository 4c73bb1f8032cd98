"""The workloads of a strategy, and the command, at tiny sizes."""

import json
from itertools import islice

import pytest
import torch
from click.testing import CliRunner

from fusionlab.benchmarking import fusion as harness
from fusionlab.benchmarking.results import Ceilings, Setting, parse_modalities
from fusionlab.cli import main
from fusionlab.errors import FusionlabError
from fusionlab.fusion.contract import FUSIONS
from fusionlab.fusion.feature_level.concat import Concat

SMALL = Setting(
    items=16, catalogue=40, modalities=parse_modalities(("a=6", "b=3x5")), dim=8, rounds=2
)
CEILINGS = Ceilings(matmul_gflops={"fp32": 1.0, "bf16": 1.0}, copy_gb_per_second=1.0)
SIZE = "--items 16 --catalogue 40 --modality a=6 --modality b=3x5 --dim 8 --rounds 2"


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(harness, "last_level_cache", lambda _device: 4096)
    monkeypatch.setattr(harness, "measure_ceilings", lambda _device, _precision: CEILINGS)


def measured(name, setting=SMALL):
    pool = harness.draw_pool(setting, 4096)
    return harness.bench_fusion(FUSIONS.parse(name), setting, pool, CEILINGS)


def test_flops_of_concat_are_the_closed_form():
    result = measured("concat")
    per_item = 2 * (6 + 5) * 8  # tokens are averaged before the map
    forward, both = (result.workloads[name] for name in ("forward", "forward+backward"))
    assert forward.flops == 16 * per_item
    assert both.flops == 2 * forward.flops  # inputs need no gradient
    assert result.workloads["inference"].flops == 40 * per_item


def test_parameters_and_shares():
    result = measured("concat")
    assert result.parameters == (6 + 5) * 8 + 8
    one = result.workloads["forward"]
    assert one.matmul_share == pytest.approx(one.flops / one.median_seconds / 1e9)
    read = 16 * (4 * (6 + 15) + 4)  # values in fp32 and a byte a token of mask
    assert one.copy_share == pytest.approx(read / one.median_seconds / 1e9)
    assert one.items_per_second == pytest.approx(16 / one.median_seconds)
    assert one.peak_mb > 0
    assert one.p10_seconds <= one.median_seconds <= one.p90_seconds


def test_attention_is_counted_on_a_cpu():
    q = torch.randn(2, 4, 8, 16)
    attend = torch.nn.functional.scaled_dot_product_attention
    assert harness.count_flops(lambda: attend(q, q, q)) == 2 * (2 * 2 * 4 * 8 * 8 * 16)


def test_what_has_no_parameters_has_no_backward():
    result = measured("cca")
    assert result.parameters == 0
    assert list(result.workloads) == ["forward", "inference"]


def test_inference_of_learned_queries_is_counted():
    assert measured("perceiver").workloads["inference"].flops > 0


def test_bf16_is_measured_on_features_held_in_bf16():
    setting = SMALL.model_copy(update={"precision": "bf16"})
    assert harness.bytes_per_item(harness.draw_pool(setting, 1)) == 2 * (6 + 15) + 4
    assert set(measured("gated", setting).workloads) >= {"forward+backward", "inference"}


def test_rotated_inputs_differ_and_exceed_the_cache():
    pool = harness.draw_pool(SMALL, 50_000)
    count = len(pool) // 16
    windows = list(islice(harness.rotate(pool, 16), count + 1))
    assert len(pool) * harness.bytes_per_item(pool) >= 50_000
    starts = {window.values["a"].data_ptr() for window in windows[:count]}
    assert len(starts) == count > 2
    assert all(len(window) == 16 for window in windows)
    assert not torch.equal(windows[0].values["a"], windows[1].values["a"])
    assert windows[count].values["a"].data_ptr() == windows[0].values["a"].data_ptr()


def test_a_pool_holds_two_batches_and_the_catalogue():
    assert len(harness.draw_pool(SMALL, 1)) == 40
    assert len(harness.draw_pool(SMALL.model_copy(update={"items": 30}), 1)) == 60


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_an_error():
    with pytest.raises(FusionlabError, match="torch sees 0 GPUs"):
        harness.bench(["concat"], SMALL.model_copy(update={"device": "cuda"}))


def test_threads_are_set_and_put_back(tiny, monkeypatch):
    before, seen = torch.get_num_threads(), []
    wanted = before + 1
    setting = SMALL.model_copy(update={"threads": wanted})
    harness.bench(["sum"], setting, on_fusion=lambda _: seen.append(torch.get_num_threads()))
    assert (seen, torch.get_num_threads()) == ([wanted], before)


def run(*arguments):
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


def test_the_command_prints_writes_and_compares(tiny, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    for file in (old, new):
        done = run("concat", "gated", "mean_scores", *SIZE.split(), "--out", file)
        assert done.exit_code == 0, done.output
    for header in ("forward+backward", "inference", "items/s", "of matmul", "of copy"):
        assert header in done.output
    written = json.loads(new.read_text())
    assert [one["fusion"] for one in written["results"]] == ["concat", "gated", "mean_scores"]
    assert {"device", "torch", "date"} <= written["machine"].keys()
    compared = run("--compare", old, new)
    assert compared.exit_code == 0, compared.output
    assert "new / old" in compared.output


def test_options_are_measured_told_apart_and_compared(tiny, tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    plain, spelt, other = "gated", "{name: gated, gate: softmax}", "{name: gated, gate: sigmoid}"
    done = run(plain, spelt, other, "concat", *SIZE.split(), "--out", old)
    assert done.exit_code == 0, done.output
    assert "gated (gate=sigmoid)" in done.output
    written = json.loads(old.read_text())["results"]
    assert [(one["fusion"], one["options"]) for one in written] == [
        ("gated", {}),  # what is spelt out is the same strategy
        ("gated", {"gate": "sigmoid"}),
        ("concat", {}),
    ]
    assert run(other, "sum", *SIZE.split(), "--out", new).exit_code == 0
    compared = run("--compare", old, new).output
    assert "gated (only old), concat (only old), sum (only new)" in " ".join(compared.split())
    assert compared.count("gated (gate=sigmoid)") == 3  # a workload each


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{name: gated, gate: hard}",), "command line: fusion.gate: found 'hard'"),
        (("{name: gated, gat: sigmoid}",), "did you mean 'gate'?"),
        (("{name: gated",), "command line: fusion: "),
        (("concta",), "did you mean 'concat'?"),
        (("concat", "--modality", "text"), "expected NAME=WIDTH"),
        (("concat", "--items", "0"), "items: found 0"),
        (("concat", "--precision", "fp16"), "precision: found 'fp16', expected one of: bf16, fp32"),
        (("concat", "--device", "tpu"), "device: found 'tpu'"),
        (("concat", "--device", "cuda:1234"), "device: found 'cuda:1234'"),
        (("concat", "--threads", "100000"), "threads: found 100000"),
        (("concat", "--catalogue", str(10**11)), "memory does not hold the benchmark: lower items"),
        (("concat", "--items", str(10**21)), "memory does not hold the benchmark: lower items"),
        (("concat", "--out", "/dev/null"), "/dev/null: found a folder, a device or a pipe"),
        (("--compare", "nowhere.json", "x.json"), "nowhere.json: no such file"),
    ],
)
def test_mistakes_of_the_command_are_one_error(tiny, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 1
    assert message in " ".join(done.output.split())
    assert "Traceback" not in done.output


@pytest.mark.parametrize("more", [("concat",), ("--items", "5"), ("--modality", "text=5")])
def test_a_comparison_measures_nothing_and_says_so(more):
    done = run("--compare", "a.json", "b.json", *more)
    assert done.exit_code == 2
    assert "--compare measures nothing" in done.output


def test_an_interrupted_benchmark_does_not_promise_to_go_on(tiny, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(harness, "bench_fusion", interrupted)
    done = run("concat", *SIZE.split())
    assert done.exit_code == 1
    assert "interrupted; nothing of a benchmark is kept" in done.output


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", "float32"), ("bf16", "bfloat16")])
def test_steps_run_in_the_precision_and_windows_exceed_the_cache(
    tiny, monkeypatch, precision, dtype
):
    seen, pools = [], []
    forward, draw = Concat.forward, harness.draw_pool

    def watched(self, items):
        fused = forward(self, items)
        if self.training:
            seen.append(self.project["a"](items.values["a"].mean(1)).dtype)
        return fused

    def drawn(setting, least):
        pools.append((draw(setting, least), least))
        return pools[0][0]

    monkeypatch.setattr(Concat, "forward", watched)
    monkeypatch.setattr(harness, "draw_pool", drawn)
    harness.bench(["concat"], SMALL.model_copy(update={"precision": precision}))
    assert set(seen) == {getattr(torch, dtype)}
    ((pool, least),) = pools
    assert least == 2 * 4096 <= len(pool) * harness.bytes_per_item(pool)
