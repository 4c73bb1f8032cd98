"""Small worlds that many tests share, and the count of messages that tests provoked."""

import numpy as np
import pytest
import torch
import user_messages

from fusionlab.data.features import ItemFeatures
from fusionlab.data.interactions import Clicks


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
