"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

RUNS = Path("runs")

plugin_option = click.option(
    "--plugin", "plugins", multiple=True, help="A Python file or module that registers parts."
)
runs_option = click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=RUNS,
    show_default=True,
    envvar="FUSIONLAB_RUNS",
    help="Where run records are kept.",
)
config_argument = click.argument("config", type=click.Path(path_type=Path))
overrides_argument = click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
json_option = click.option(
    "--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="JSON to write."
)
untrained_coalitions_option = click.option(
    "--untrained-coalitions",
    is_flag=True,
    help="Tell what a model says of subsets of modalities that it has never seen.",
)
