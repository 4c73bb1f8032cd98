"""`fusionlab forget`: delete what is kept of a user."""

from __future__ import annotations

from pathlib import Path

import click

from fusionlab.cli_options import runs_option


@click.command()
@click.argument("run")
@click.argument("user")
@runs_option
def forget(run: str, user: str, runs: Path) -> None:
    """Delete all that is kept of USER, of the people of RUN: feedback, and rows of records.

    Every run on the same dataset is cleaned. Other runs that name a USER are told, and the exit
    status is 1: only you know whether it is the same person.
    """
    from fusionlab import terminal
    from fusionlab.errors import FusionlabError
    from fusionlab.serving.forget import forget as forgotten
    from fusionlab.studies.store import RunStore

    found = forgotten(run, user, RunStore(runs))
    terminal.say(
        f"forgot {found.events} events and {found.rows} rows of {user} in {len(found.runs)} runs",
        "The files of the dataset hold their clicks, and the models have learned from them: drop "
        "their rows there, or name them in a file: `fusionlab update RUN --retrain "
        "--without-users FILE`; then delete the old runs, and export studies anew.",
    )
    if found.under_way:
        terminal.say(
            f"{len(found.under_way)} runs are under way and were not touched: forget the user "
            "again when they have ended"
        )
    if found.elsewhere:
        lines = [
            f"  {place}: {len(ids)} runs, {ids[0][:12]} among them" if ids else f"  {place}"
            for place, ids in found.elsewhere.items()
        ]
        raise FusionlabError(
            f"{user!r} is not forgotten, or not known to be, in\n" + "\n".join(lines) + "\n"
            f"If it is the same person: `fusionlab forget RUN {user}` with one of the runs of each"
        )
