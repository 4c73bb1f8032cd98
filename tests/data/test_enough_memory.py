"""Where the memory is too small there is an error that names what to lower."""

import subprocess
import sys

import pytest
import torch

from fusionlab.data.memory import enough_memory
from fusionlab.errors import FusionlabError
from fusionlab.schema import validate
from fusionlab.sections import Training
from fusionlab.training.memory import enough_for


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("tried to allocate 9 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_every_kind_of_refusal_is_advice(error):
    training = validate(Training, {"batch_size": 777})
    with (
        pytest.raises(FusionlabError, match=r"lower training\.batch_size \(now 777\).*pool.*bf16"),
        enough_for(training),
    ):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("a batch"):
        raise RuntimeError("shapes differ")


SCRIPT = """
import resource, torch
from pathlib import Path
from fusionlab.data.memory import enough_memory
from fusionlab.errors import FusionlabError
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + (1 << 28)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    with enough_memory("a batch: lower it"):
        torch.empty(1 << 30)
except FusionlabError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_torch_says_where_the_system_refuses():
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert found.stdout.startswith("the memory does not hold a batch: lower it ("), found
