"""`fusionlab explore`: finished studies and runs as a page."""

from __future__ import annotations

from pathlib import Path

import click

from fusionlab.cli_options import plugin_option, runs_option


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="STUDY|RUN...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=7860, show_default=True, type=click.IntRange(1, 65535))
@click.option("--reasons", metavar="MODEL", help="A language model that gives reasons in words.")
@runs_option
@plugin_option
def explore(
    targets: tuple[str, ...],
    host: str,
    port: int,
    reasons: str | None,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Look at finished studies (files) and runs (the beginnings of their ids) in a browser."""
    from importlib.util import find_spec

    from fusionlab import terminal
    from fusionlab.errors import FusionlabError
    from fusionlab.studies.store import RunStore

    if not find_spec("gradio"):
        raise FusionlabError("explore: needs Gradio: pip install 'fusionlab-recsys[explorer]'")
    from fusionlab.explorer.app import LOOPBACK, serve
    from fusionlab.explorer.boards import open_board
    from fusionlab.explorer.reasons import reasons_by
    from fusionlab.explorer.state import Explorer

    store, boards, faults = RunStore(runs), [], []
    for target in targets:
        try:
            boards.append(open_board(target, store, plugins))
        except FusionlabError as error:
            faults.append(f"{target}: {error}")
    if not boards:
        raise FusionlabError("\n".join(faults))
    terminal.say(*(f"left out: {fault}" for fault in faults))
    explorer = Explorer(boards, store)
    writer = reasons_by(reasons) if reasons else None
    for fault in explorer.warm():
        terminal.say(fault)
    if host not in LOOPBACK:
        terminal.say(f"{host}: whoever reaches it may look, and write into the feedback logs")
    terminal.say(f"http://{host}:{port}  (Ctrl+C ends it)")
    serve(explorer, host, port, writer)
