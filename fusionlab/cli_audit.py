"""`fusionlab audit`: what each modality contributed to a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fusionlab.cli_options import json_option, runs_option, untrained_coalitions_option


@click.command()
@click.argument("run")
@click.option(
    "--split",
    type=click.Choice(["valid", "test"]),
    default="valid",
    show_default=True,
    help="What to judge on; opening test is noted in the run's record.",
)
@click.option("--metric", help="Of single users; default: the one that selected the epoch.")
@click.option("--users", type=click.IntRange(2), help="At most so many random users (or items).")
@click.option("--retrain", is_flag=True, help="Also train anew without each modality.")
@untrained_coalitions_option
@click.option(
    "--groups",
    metavar="activity|FILE.csv",
    help="Also by group of users: thirds by train clicks, or a file with columns user,group.",
)
@click.option("--user", help="Explain this user's top list instead.")
@click.option("--tokens", is_flag=True, help="With --user: its first item token by token, too.")
@json_option
@click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Figure to write, as PDF and PNG.",
)
@runs_option
def audit(
    run: str,
    file: Path | None,
    figure: Path | None,
    runs: Path,
    user: str | None,
    tokens: bool,
    **asked: Any,
) -> None:
    """Tell what each modality contributed to RUN, by the beginning of its id."""
    import json

    from fusionlab import terminal
    from fusionlab.config import experiment_from
    from fusionlab.data.disk import writable, write_whole
    from fusionlab.reporting.audit_card import audit_card
    from fusionlab.reporting.contribution_figure import contribution_figure
    from fusionlab.reporting.list_card import list_card
    from fusionlab.reporting.style import save
    from fusionlab.serving.explained_list import explain_list
    from fusionlab.studies.audit import audit as audited
    from fusionlab.studies.datasets import load_dataset
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trained import load_trained

    _check_user(user, tokens, figure, asked)
    store = RunStore(runs)
    for path in filter(None, (file, figure)):
        writable(path)
    with terminal.encoding() as on_items:
        experiment = experiment_from(store.find(run).config)
        load_dataset(experiment, store.features, on_items=on_items)
    trained, written = load_trained(run, store), []
    if user is None:
        found = audited(trained, store, **asked)
        terminal.show(audit_card(found))
        told = found.to_json()
        if figure:
            written += save(contribution_figure(found), figure.with_suffix(""))
    else:
        some = asked["untrained_coalitions"]
        listed = explain_list(trained, user, tokens=tokens, untrained_coalitions=some)
        terminal.show(list_card(listed))
        told = listed.to_json()
    if file:
        written.append(write_whole(file, json.dumps(told, indent=1).encode()))
    terminal.say(*(f"wrote {path}" for path in written))


def _check_user(
    user: str | None, tokens: bool, figure: Path | None, asked: Mapping[str, Any]
) -> None:
    """Refuse options that a list would not heed, or the audit of all users."""
    if user is None:
        if tokens:
            raise click.UsageError("--tokens: expected --user beside it")
        return
    known = {"untrained_coalitions", "split"}
    extra = [name for name, value in asked.items() if value and name not in known]
    extra += ["figure"] if figure else []
    if asked["split"] != "valid":
        extra.append("split")
    if extra:
        raise click.UsageError(f"--{extra[0]}: tells of all users, expected none beside --user")
