"""`fusionlab tune`: the search of a study's row, for one experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fusionlab.cli_options import config_argument, overrides_argument, plugin_option, runs_option


@click.command()
@config_argument
@overrides_argument
@click.option("--trials", type=click.IntRange(1), help="Runs to try; the first as written.")
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="Begin no trial after so long."
)
@click.option("--sampler", type=click.Choice(["tpe", "random"]), default="tpe", show_default=True)
@click.option(
    "--pruner", type=click.Choice(["median", "none"]), default="median", show_default=True
)
@click.option("--tune-seed", "seed", default=0, show_default=True, help="Of what is drawn.")
@click.option(
    "--space",
    "written",
    multiple=True,
    metavar="KEY.SUB=SPACE",
    help="'{low: 1, high: 9, log: true}', '[a, b]', or null to leave it alone; once for each.",
)
@click.option("--storage", help="URL of a database for Optuna's tools (default: a journal file).")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="YAML to write: the experiment with the best options, for `fusionlab run`.",
)
@runs_option
@plugin_option
def tune(
    config: Path,
    overrides: tuple[str, ...],
    written: tuple[str, ...],
    out: Path | None,
    runs: Path,
    plugins: tuple[str, ...],
    **how: Any,
) -> None:
    """Tune one experiment on validation and print the best options as YAML."""
    from functools import partial

    from fusionlab import terminal
    from fusionlab.config import load_experiment
    from fusionlab.data.disk import writable, write_whole
    from fusionlab.errors import ConfigError
    from fusionlab.layers import changes_of
    from fusionlab.reporting.tuning import told_of, tuned_yaml
    from fusionlab.schema import validate
    from fusionlab.studies.datasets import load_dataset
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.trials.plan import plan_searches
    from fusionlab.studies.trials.tune import tune as tune_rows
    from fusionlab.tuning import Tuning

    store, experiment = RunStore(runs), load_experiment(config, overrides, plugins)
    spaces = changes_of(written)
    try:
        asked = validate(Tuning, {**how, "spaces": spaces})
    except ConfigError as error:
        raise error.under("tune").written_in(lambda _: "command line") from None
    if out:
        writable(out)
    with terminal.encoding() as on_items:
        load = partial(load_dataset, features=store.features, on_items=on_items)
        (search,) = plan_searches([{config.stem: experiment}], [()], asked, load)
    with terminal.runs("tuning, at most", asked.trials) as on_trial:
        tune_rows([search], store, storage=asked.storage, on_trial=on_trial)
    ledger = search.ledger(store)
    terminal.say(*told_of(ledger), tuned_yaml(ledger.best.changes))
    if out:
        text = tuned_yaml(ledger.best.changes, config, out, changes_of(overrides))
        terminal.say(f"wrote {write_whole(out, text.encode())}")
