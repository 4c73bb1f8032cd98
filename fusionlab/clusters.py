"""Ray clusters, for encoders and for studies: connected to once a process, with clear errors."""

from __future__ import annotations

import re
import socket
from typing import Any

from fusionlab.errors import FusionlabError

SECONDS = 10.0
"""Nobody waits longer for a machine that does not answer; Ray itself waits for minutes."""


def connect(address: str) -> Any:
    """The module ``ray``, connected to a cluster; a process that is connected stays where it is.

    Args:
        address: ``HOST:PORT`` of the cluster's head, ``auto`` (the cluster that this machine is in)
            or ``local``, which starts one on this machine that ends with this process.

    Raises:
        FusionlabError: Ray is not installed, the address is none, or nobody answers there.
    """
    try:
        import ray
    except ImportError:
        raise FusionlabError("--ray needs Ray: pip install 'fusionlab-recsys[ray]'") from None
    if ray.is_initialized():
        return ray
    if address not in ("auto", "local"):
        _knock(address)
    try:
        if address == "local":
            ray.init("local", log_to_driver=False, include_dashboard=False)
        else:
            ray.init(address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
        said = next(iter(str(error).splitlines()), "")
        raise FusionlabError(
            f"--ray: found {address!r}, where Ray cannot be reached ({said}); expected the address "
            "of a cluster that runs (`ray status`), or local"
        ) from None
    return ray


def _knock(address: str) -> None:
    """Does anybody answer there? Ray would try for minutes, and then end the process."""
    parts = re.fullmatch(r"([^\s/:]+|\[[^\s/\]]+\]):(\d{1,5})", address)
    if parts is None or not 0 < int(parts[2]) < 65536:
        raise FusionlabError(f"--ray: found {address!r}, expected HOST:PORT, auto or local")
    try:
        socket.create_connection((parts[1].strip("[]"), int(parts[2])), SECONDS).close()
    except OSError as error:
        raise FusionlabError(
            f"--ray: found {address!r}, where nobody answers ({error.strerror or error}); expected "
            "HOST:PORT of a cluster's head that runs, auto or local"
        ) from None
