"""Memory that a step frees stays with the process, and the peak is that of the run."""

import platform
import resource
import subprocess
import sys

import pytest
import torch

from fusionlab.studies.memory import keep_pages


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an allocator of another kind")
def test_large_tensors_get_the_same_pages_again():
    assert keep_pages()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        made = [torch.ones(2_000_000) for _ in range(4)]
        del made
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults * resource.getpagesize() < 160e6  # of 1,280 MB written, 64 MB at a time


def test_it_says_so_where_the_allocator_is_another(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not keep_pages()


ANEW = """
import torch
from fusionlab.studies.memory import peak_mb, reset_peak

large = torch.ones(40_000_000)
del large
reset_peak("cpu")
before = peak_mb("cpu")
held = torch.ones(20_000_000)
print(before, peak_mb("cpu"))
"""


def test_the_peak_is_measured_anew():
    """In a process of its own: another test may have left pages that a tensor gets again."""
    done = subprocess.run([sys.executable, "-c", ANEW], capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert 40 < after - before < 120
