"""`fusionlab audit`: what each modality contributed to a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fusionlab.cli_options import runs_option


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
@click.option(
    "--untrained-coalitions",
    is_flag=True,
    help="Tell what a model says of subsets of modalities that it has never seen.",
)
@click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="JSON to write."
)
@click.option(
    "--figure",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Figure to write, as PDF and PNG.",
)
@runs_option
def audit(run: str, file: Path | None, figure: Path | None, runs: Path, **asked: Any) -> None:
    """Tell what each modality contributed to RUN, by the beginning of its id."""
    import json

    from fusionlab import terminal
    from fusionlab.config import experiment_from
    from fusionlab.reporting.audit_card import audit_card
    from fusionlab.reporting.contribution_figure import contribution_figure
    from fusionlab.reporting.files import writable, write_whole
    from fusionlab.reporting.style import save
    from fusionlab.studies.audit import audit as audited
    from fusionlab.studies.datasets import load_dataset
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trained import load_trained

    store = RunStore(runs)
    for path in filter(None, (file, figure)):
        writable(path)
    with terminal.encoding() as on_items:
        experiment = experiment_from(store.find(run).config)
        load_dataset(experiment, store.features, on_items=on_items)
    found = audited(load_trained(run, store), store, **asked)
    terminal.show(audit_card(found))
    written = []
    if file:
        written.append(write_whole(file, json.dumps(found.to_json(), indent=1).encode()))
    if figure:
        written += save(contribution_figure(found), figure.with_suffix(""))
    terminal.say(*(f"wrote {path}" for path in written))
