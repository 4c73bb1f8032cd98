"""Worker processes that leave nobody behind."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait

from fusionlab.errors import FusionlabError

GUARD = (
    "workers import the script that starts them: expected all that it does under "
    '`if __name__ == "__main__":`'
)


def end_with_parent() -> None:
    """End this worker process when its parent is gone (killed, even)."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow(sentinel: int = parent.sentinel) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def check_not_importing() -> None:
    """FusionlabError if this process is a worker that still imports the script that starts it.

    It would begin what that script is at, and wait for it without end.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise FusionlabError(GUARD)
