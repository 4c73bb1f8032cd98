"""The start by hand with this framework's AdamW, for which PyTorch does not import its compiler."""

from __future__ import annotations

import hand_peer
from peer_case import Case

from fusionlab.training.optimizer import EagerAdamW


def start(case: Case) -> None:
    """Read, prepare, build, and take one step."""
    hand_peer.start(case, EagerAdamW)
