"""One toolkit doing one kind of work in its own process: says ready, then works when told to.

Called by `compare.py` as ``peer_worker.py MODULE WORK CASE``. Answers are JSON, one a line, on what
was standard output when it started; whatever the toolkit prints goes to standard error.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from types import ModuleType
from typing import TextIO

from peer_case import FIRST_BATCH, Case, Work

SHARED = ("torch", "numpy")


def main(name: str, work: str, case: Case) -> None:
    """Prepare, answer, and do the work once for every line that comes in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    module = importlib.import_module(name)
    missing = absent(module, case)
    if missing:
        answer(answers, {"absent": missing})
        return
    installed = [name for name in SHARED if importlib.util.find_spec(name)]
    versions = {one: importlib.metadata.version(one) for one in (*module.PACKAGES, *installed)}
    ready = prepare(module, work, case)
    known = {"versions": versions, "figures": ready.figures(), "silent": ready.silent}
    answer(answers, known)
    for _line in sys.stdin:
        started = time.perf_counter()
        result = ready.run()
        elapsed = time.perf_counter() - started
        answer(answers, {"seconds": result if ready.timed else elapsed})


def absent(module: ModuleType, case: Case) -> str:
    """Why the toolkit cannot run here; empty where it can."""
    missing = [name for name in module.PACKAGES if importlib.util.find_spec(name) is None]
    return module.missing(case) or (f"not installed: {', '.join(missing)}" if missing else "")


def prepare(module: ModuleType, work: str, case: Case) -> Work:
    """The work of that name; ``start`` is a fresh process up to its first optimizer step."""
    if work == "start":
        starter = getattr(module, "STARTER", module.__name__)
        command = [sys.executable, __file__, starter, FIRST_BATCH, case.text()]

        def run() -> None:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)

        return Work(run)
    ready: Work = module.WORKS[work](case)
    return ready


def first_batch(name: str, case: Case) -> None:
    """Run the toolkit's own entry point and end the process after one optimizer step."""
    module = importlib.import_module(name)
    from torch.optim.optimizer import register_optimizer_step_post_hook

    register_optimizer_step_post_hook(lambda *_: os._exit(0))
    module.start(case)
    raise RuntimeError(f"{name}: ended without an optimizer step")


def answer(answers: TextIO, data: dict[str, object]) -> None:
    """Write one line."""
    answers.write(json.dumps(data) + "\n")
    answers.flush()


if __name__ == "__main__":
    module_name, wanted, written = sys.argv[1:]
    del sys.argv[1:]  # toolkits read it
    if wanted == FIRST_BATCH:
        first_batch(module_name, Case.of(written))
    main(module_name, wanted, Case.of(written))
