"""From a fresh process to the first optimizer step of VBPR: a run, and a script by hand."""

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from peers.peer_case import FIRST_BATCH, Case

PEERS = Path(__file__).parent / "peers"


def calls(by_hand):
    """The pair of calls, on data of the shape of Amazon-Baby in files that are removed at the end
    of this process."""
    folder = tempfile.TemporaryDirectory()
    case = Case(str(Path(folder.name) / "baby"))
    case.write()
    return partial(start, "start_peer", case, folder), partial(start, by_hand, case, folder)


def start(module, case, _folder):
    """Run a process up to its first step; it ends there."""
    worker = [sys.executable, PEERS / "peer_worker.py"]
    subprocess.run([*worker, module, FIRST_BATCH, case.text()], check=True, env=case.environment)
