"""The memory that there is: the machine's, or what control groups leave of it."""

import os

import pytest

from fusionlab.data import memory

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
OLD, NEW = "memory.limit_in_bytes", "memory.max"


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Makes control groups of which this process is in some: files to what stands in them."""

    def make(own, files):
        (tmp_path / "own").write_text(own)
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)

    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    return make


@pytest.mark.parametrize(
    ("own", "files", "size"),
    [
        ("0::/\n", {NEW: "4096\n"}, 4096),
        ("0::/job/step\n", {f"job/step/{NEW}": "max\n", f"job/{NEW}": "8192\n"}, 8192),
        ("5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n", {f"memory/a/{OLD}": "4096\n"}, 4096),
        ("4:memory:/of/the/host\n", {f"memory/{OLD}": "4096\n"}, 4096),
        ("4:memory:/\n", {f"memory/{OLD}": f"{2**63 - 4096}\n"}, MACHINE),
        ("0::/\n", {f"other/{NEW}": "4096\n", NEW: "max\n"}, MACHINE),
        ("", {}, MACHINE),
    ],
)
def test_the_smallest_limit_counts(groups, own, files, size):
    groups(own, files)
    assert memory.memory_size() == size


def test_groups_that_cannot_be_read_limit_nothing(groups):
    groups("0::/\n", {f"{NEW}/is a folder": ""})
    assert memory.memory_size() == MACHINE


def test_a_system_without_either_is_not_guessed(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "OWN_GROUPS", tmp_path / "none")
    monkeypatch.delattr(os, "sysconf")
    assert memory.memory_size() is None
