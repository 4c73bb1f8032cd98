"""A try of `faults.py` is a process of its own, forked from one that has imported everything: it
starts in milliseconds, and is as real a process to kill as any."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

UNEXPECTED = 70
"""Exit status where an operation ends with a traceback."""


def forked(work: Callable[[], Any], out: Path) -> int:
    """Start a process that does ``work`` and then ends: 0; 1 where the command line says what is
    wrong; 70 where it ends with a traceback. What it prints is in ``out``."""
    process = os.fork()
    if process:
        return process
    status = UNEXPECTED
    try:
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def ended(process: int) -> int:
    """The exit status of a process that was `forked`; minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def stopped(process: int, how: signal.Signals) -> int:
    """End a process by a signal; its exit status, as `ended` has it."""
    os.kill(process, how)
    return ended(process)


def asked(work: Callable[[], Any], aside: Path) -> Any:
    """What ``work`` returns in a process of its own; FusionlabError and all else comes as text."""
    answer = aside / "answer"

    def tell() -> None:
        answer.write_bytes(pickle.dumps(work()))

    answer.unlink(missing_ok=True)
    status = ended(forked(lambda: as_a_command(tell), aside / "asked"))
    if status:
        raise RuntimeError(f"status {status}: {(aside / 'asked').read_text()[-2000:]}")
    return pickle.loads(answer.read_bytes())


def as_a_command(work: Callable[[], None]) -> None:
    """As the command line does: what the user can mend is a message and status 1."""
    from fusionlab.errors import FusionlabError

    try:
        work()
    except FusionlabError as error:
        print(f"Error: {error}")
        raise SystemExit(1) from None
