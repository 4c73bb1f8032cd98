"""Small worlds that many tests share, and the count of messages that tests provoked."""

import sys

import numpy as np
import pytest
import torch
import user_messages
from click.testing import CliRunner

from fusionlab.cli import main
from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks
from fusionlab.registry import FAMILIES, family


def random_clicks(users=20, items=30, per_user=6, seed=0):
    """Each user clicks ``per_user`` different items (user 0 one, user 1 none)."""
    draw = np.random.default_rng(seed)
    counts = [1, 0] + [per_user] * (users - 2)
    chosen = [draw.choice(items, count, replace=False) for count in counts]
    return Clicks.from_pairs(
        np.repeat(np.arange(users), counts), np.concatenate(chosen), users, items
    )


def random_features(items=30, seed=0, missing=0.2, **widths):
    """Pooled features of some modalities with missing entries behind NaN."""
    draw = torch.Generator().manual_seed(seed)
    values, mask = {}, {}
    for name, width in (widths or {"text": 5, "image": 4}).items():
        x = torch.randn(items, 1, width, generator=draw)
        on = torch.rand(items, 1, generator=draw) >= missing
        values[name], mask[name] = torch.where(on[..., None], x, torch.nan), on
    return ItemFeatures(values, mask)


@pytest.fixture
def clicks():
    return random_clicks()


@pytest.fixture
def features():
    return random_features()


@pytest.fixture
def run_with_plugin(tmp_path, monkeypatch):
    """Runs a tiny experiment with a part whose file is given: the result, and what was printed.

    What the file registers is forgotten afterwards; a run that failed leaves no file behind.
    """
    monkeypatch.chdir(tmp_path)
    for registry in map(family, FAMILIES):
        registry.names()
        monkeypatch.setattr(registry, "_parts", dict(registry._parts))
        monkeypatch.setattr(registry, "_schemas", dict(registry._schemas))
    data = "dataset: {name: synthetic, users: 20, items: 16, clicks: 6}"
    (tmp_path / "x.yaml").write_text(f"{data}\ntraining: {{epochs: 1}}\ndim: 4\n")

    def run(source, typed):
        (tmp_path / "mine.py").write_text(source)
        for name in [name for name in sys.modules if name.startswith("fusionlab_plugin_mine_")]:
            del sys.modules[name]
        result = CliRunner().invoke(main, ["run", "x.yaml", *typed.split(), "--plugin", "mine.py"])
        left = [one for one in tmp_path.glob("runs/**/*") if one.is_file()]
        assert not result.exception or {one.suffix for one in left} <= {".lock"}
        return result, " ".join(result.output.split())

    return run


# Every message that a user may be told is provoked by some test

user_messages.watch()


def pytest_addoption(parser):
    parser.addoption(
        "--every-message", action="store_true", help="fail if a message to users was never told"
    )


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["told"] = sorted(user_messages.told)
    elif session.config.getoption("--every-message") and user_messages.untold():
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    user_messages.told.update(map(tuple, getattr(node, "workeroutput", {}).get("told", [])))


def pytest_terminal_summary(terminalreporter, config):
    if not config.getoption("--every-message"):
        return
    for one in user_messages.untold():
        terminalreporter.write_line(f"never told: {one.file}:{one.first}: {one.text}", red=True)
