"""`fusionlab update`: a finished run learns what its users have said since."""

from __future__ import annotations

from pathlib import Path

import click

from fusionlab.cli_options import runs_option


@click.command()
@click.argument("run")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--learning-rate",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    help="Times the run's own.",
)
@click.option(
    "--replay",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.5,
    show_default=True,
    help="Share of old clicks in an epoch.",
)
@click.option("--retrain", is_flag=True, help="Train afresh on old and new clicks instead.")
@click.option(
    "--held-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of the new clicks, the latest, that judge.",
)
@click.option(
    "--without-users",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --retrain: a file of users, an id a line, to train without from now on.",
)
@click.option(
    "--items",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Items that belong to the catalogue from now on, as JSON lines.",
)
@runs_option
@click.pass_context
def update(
    context: click.Context,
    run: str,
    epochs: int,
    learning_rate: float,
    replay: float,
    retrain: bool,
    held_out: float,
    without_users: Path | None,
    items: Path | None,
    runs: Path,
) -> None:
    """Teach RUN (the beginning of its id) the clicks of its feedback log; keep it if no worse."""
    from fusionlab import terminal
    from fusionlab.errors import FusionlabError
    from fusionlab.serving.update import update as updated
    from fusionlab.studies.fine_tuning import FineTuning
    from fusionlab.studies.store import RunStore

    given = context.get_parameter_source
    if retrain:
        for name in ("epochs", "learning_rate", "replay"):
            if given(name) is click.core.ParameterSource.COMMANDLINE:
                option = "--" + name.replace("_", "-")
                raise click.UsageError(f"{option}: tunes, expected none beside --retrain")
    elif without_users:
        raise click.UsageError("--without-users: expected --retrain beside it")
    tuning = FineTuning(epochs=epochs, learning_rate=learning_rate, replay=replay)
    store = RunStore(runs)
    total = store.find(run).config["training"]["epochs"] if retrain else epochs
    with terminal.epochs(total) as on_epoch:
        found = updated(
            run,
            store,
            None if retrain else tuning,
            held_out=held_out,
            without_users=None if without_users is None else str(without_users),
            more_items=None if items is None else str(items),
            on_epoch=on_epoch,
        )
    terminal.say(*found.notes)
    terminal.say(
        f"{found.metric} on held-out feedback ({found.judged_by} clicks): "
        f"present {_told(found.before)}, updated {_told(found.after)}"
    )
    if found.tie is not None:
        before, after, p = found.tie
        why = "level" if found.before == found.after else "clicks of too few users to tell"
        why = why if found.judged_by else "no click on what both know"
        terminal.say(
            f"{why}, so validation decides: present {before:.4f}, updated {after:.4f}, p = {p:.3f}"
        )
    if found.record is None:
        raise FusionlabError("the updated model is worse and is not kept; the present one stays")
    terminal.show(terminal.run_card(found.record), *terminal.warning_panels(found.record))


def _told(value: float | None) -> str:
    return "not judged" if value is None else f"{value:.4f}"
