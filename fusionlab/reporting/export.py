"""A study as a folder that needs nothing else: its report, and the records it was made from."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from fusionlab.data.sealed import SUMS, write_sums
from fusionlab.errors import FusionlabError
from fusionlab.reporting.report import write_report
from fusionlab.reporting.results import RESULTS_FILE, RUNS_FOLDER, Results
from fusionlab.studies.record import RunRecord
from fusionlab.studies.store import RunStore

RECORD_FILES = ("record.json", "config.yaml", "per_user.parquet")
STUDY_FILE, LOCK_FILE = "study.yaml", "requirements.txt"
PLUGINS_FOLDER = "plugins"


def export(results: Results, folder: Path) -> Path:
    """Write a study into ``folder``, from which its tables are built again, byte for byte.

    The report as `write_report` writes it, the records and per-user values of every run, the study
    with all defaults filled in, the plug-ins' files, the versions of all installed packages, a
    README, and the checksums of all that. Not the data, the encoded features or the trained models.
    The folder appears whole or not at all.

    Raises:
        FusionlabError: the folder is there already; plug-ins of one name; see `write_report`.
    """
    if folder.exists():
        raise FusionlabError(f"{folder}: is there already, expected a new folder: --out")
    draft = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        kept = _with_runs(results, draft)
        kept = replace(kept, config=_portable(results, draft))
        report = write_report(kept, draft)
        if kept.config is not None:
            text = yaml.safe_dump(dict(kept.config), sort_keys=False, allow_unicode=True)
            (draft / STUDY_FILE).write_text(text)
        (draft / LOCK_FILE).write_text(_lock())
        (draft / "README.md").write_text(_readme(kept, [*report.tables]))
        files = [file for file in draft.rglob("*") if file.is_file()]
        write_sums(draft, [file.relative_to(draft).as_posix() for file in files])
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _with_runs(results: Results, folder: Path) -> Results:
    """The same results, of records copied into the folder."""
    store = RunStore(folder / RUNS_FOLDER)

    def copied(record: RunRecord) -> RunRecord:
        assert record.folder is not None
        target = store.folder(record.id)
        target.mkdir(parents=True, exist_ok=True)
        for name in RECORD_FILES:
            shutil.copyfile(record.folder / name, target / name)
        return store.load(record.id)

    rows = [replace(row, records=[copied(one) for one in row.records]) for row in results.rows]
    return replace(results, rows=rows)


def _portable(results: Results, folder: Path) -> dict[str, Any] | None:
    """The study's configuration with its plug-ins' files taken along."""
    if results.config is None:
        return None
    experiment = dict(results.config["experiment"])
    plugins = [str(plugin) for plugin in experiment.get("plugins", ())]
    files = [Path(plugin) for plugin in plugins if plugin.endswith(".py")]
    if len({file.name for file in files}) < len(files):
        names = ", ".join(map(str, files))
        raise FusionlabError(f"plug-ins: found {names}, expected files of different names")
    for file in files:
        target = folder / PLUGINS_FOLDER / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    experiment["plugins"] = [
        f"{PLUGINS_FOLDER}/{Path(plugin).name}" if plugin.endswith(".py") else plugin
        for plugin in plugins
    ]
    return {**results.config, "experiment": experiment}


def _lock() -> str:
    """Every package that is installed, pinned."""
    found = {
        str(one.metadata["Name"]): one.version for one in distributions() if one.metadata["Name"]
    }
    pins = [f"{name}=={found[name]}" for name in sorted(found, key=str.lower)]
    return "\n".join([f"# Python {platform.python_version()}", *pins]) + "\n"


def _readme(results: Results, tables: Sequence[str]) -> str:
    records = list({one.id: one for row in results.rows for one in row.records}.values())
    lines = [
        f"# {results.title}",
        "",
        f"{len(results.rows)} rows, {len(records)} runs, judged on {results.split}; "
        f"{results.main} is what rows are tested by.",
        "",
        "| | |",
        "|---|---|",
        f"| `{'`, `'.join(tables)}` (.md, .csv, .tex, .html) | the tables |",
        "| `*.pdf`, `*.png` | the figures |",
        f"| `{RESULTS_FILE}` | which runs each row of the tables stands for |",
        f"| `{RUNS_FOLDER}/ID/record.json` | a run: configuration, metrics, cost, machine |",
        f"| `{RUNS_FOLDER}/ID/per_user.parquet` | its metrics of every user |",
        f"| `{LOCK_FILE}` | versions of the packages that were installed when this was written |",
        f"| `{SUMS}` | checksums: `sha256sum -c {SUMS}` |",
    ]
    if results.config is not None:
        lines.append(f"| `{STUDY_FILE}` | the study, all defaults filled in |")
    lines += [
        "",
        "## Check the tables",
        "",
        "From this folder and the package alone, without the data:",
        "",
        "```console",
        *(f"$ fusionlab table . --check {name}.tex" for name in tables),
        f'$ fusionlab table . --why "{_best(results)}" "{results.main}"',
        "```",
        "",
    ]
    return "\n".join([*lines, *_repeat(results, records)]) + "\n"


def _repeat(results: Results, records: Sequence[RunRecord]) -> list[str]:
    """How to run the study again, and with what the runs were made."""
    lines = ["## Run it again", ""]
    if results.config is not None:
        command = f"fusionlab study {STUDY_FILE} --runs again --out again/report"
        lines += [
            f"With Python and packages as in `{LOCK_FILE}`, the data where `{STUDY_FILE}` says "
            "(`experiment.dataset.path=FOLDER` if elsewhere), and from this folder:",
            "",
            f"```console\n$ {command}\n```",
            "",
        ]
    data = {(one.dataset.get("name"), one.dataset.get("fingerprint")) for one in records}
    lines += [
        f"- data: {name}, fingerprint `{mark}`"
        for name, mark in sorted(data, key=str)
        if mark is not None
    ]
    made = {tuple(sorted(one.environment.items())) for one in records}
    lines += [f"- made with {', '.join(f'{k} {v}' for k, v in one)}" for one in sorted(made)]
    return [
        *lines,
        "",
        "The same code, data and versions on the same kind of processor give the same run ids and "
        "the same quality table; seconds and memory differ. Not here: the data, encoded features "
        "and trained models.",
    ]


def _best(results: Results) -> str:
    """A row to show the way by."""
    strategies = [row for row in results.rows if row.kind == "strategy"] or results.rows
    return strategies[0].label
