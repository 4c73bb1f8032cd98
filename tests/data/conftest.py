"""The small datasets of the readers' tests, and hypothesis without a clock."""

import pytest
from hypothesis import settings
from worlds import write_clips, write_films, write_shop

settings.register_profile("no clock", deadline=None)
settings.load_profile("no clock")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty working directory, so that messages name relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clips(home):
    return write_clips(home)


@pytest.fixture
def shop(home):
    return write_shop(home)


@pytest.fixture
def films(home):
    return write_films(home)
