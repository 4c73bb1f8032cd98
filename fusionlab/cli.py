"""The command line. Each command reads its arguments, calls the package and prints."""

from __future__ import annotations

import errno
import gc
from pathlib import Path
from typing import Any

import click

from fusionlab.cli_audit import audit
from fusionlab.cli_bench import bench
from fusionlab.cli_explore import explore
from fusionlab.cli_forget import forget
from fusionlab.cli_options import config_argument, overrides_argument, plugin_option, runs_option
from fusionlab.cli_paper import compare_studies, export, power, table
from fusionlab.cli_serve import feedback, recommend
from fusionlab.cli_tune import tune
from fusionlab.cli_update import update
from fusionlab.errors import FusionlabError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""A disk that is full, or that one may not write."""
GC_THRESHOLDS = 100_000, 20, 50
"""How often Python looks for garbage. By default it does so hundreds of times while PyTorch is
imported, which is a fifth of a start."""


class _Roof(click.Group):
    """Turns the one user error into a message without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FusionlabError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno not in DISK:
                raise
            where = error.filename or "a file"
            raise click.ClickException(
                f"{where}: {error.strerror}; free space or allow writing there, and the same "
                "command goes on from what is done"
            ) from None
        except KeyboardInterrupt:
            raise click.ClickException("interrupted; the same command goes on from here") from None


@click.group(cls=_Roof, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fusionlab-recsys")
def main() -> None:
    """Multimodal recommendation in which the fusion strategy is the swappable part."""
    gc.set_threshold(*GC_THRESHOLDS)


for command in (audit, recommend, feedback, update, forget, explore):
    main.add_command(command)
for command in (tune, table, power, compare_studies, export, bench):
    main.add_command(command)


@main.command()
@config_argument
@overrides_argument
@runs_option
@plugin_option
def run(config: Path, overrides: tuple[str, ...], runs: Path, plugins: tuple[str, ...]) -> None:
    """Run one experiment and print its metrics."""
    from fusionlab import terminal
    from fusionlab.config import load_experiment
    from fusionlab.studies.datasets import load_dataset
    from fusionlab.studies.run import run_experiment
    from fusionlab.studies.store import RunStore

    experiment, store = load_experiment(config, overrides, plugins), RunStore(runs)
    with terminal.encoding() as on_items:
        load_dataset(experiment, store.features, on_items=on_items)
    with terminal.epochs(experiment.training.epochs) as on_epoch:
        record = run_experiment(experiment, store, on_epoch=on_epoch)
    assert record is not None
    terminal.show(terminal.run_card(record), *terminal.warning_panels(record))
    terminal.say(*terminal.last_signals(record))


@main.command()
@config_argument
@overrides_argument
@click.option(
    "--workers", type=click.IntRange(1), help="Runs at once on this machine (default: 1)."
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Runs on a Ray cluster: HOST:PORT, `auto`, or `local`, which starts one here. Machines "
    "must share the file system of --runs.",
)
@click.option(
    "--gpus-per-run",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="FRACTION",
    help="The share of a GPU that a run on Ray has (default: 1 on cuda).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Where the report goes (default: reports/NAME of the study's file).",
)
@runs_option
@plugin_option
def study(
    config: Path,
    overrides: tuple[str, ...],
    workers: int | None,
    ray: str | None,
    gpus_per_run: float | None,
    out: Path | None,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Run a study and write its tables and figures; what has run before is not run again."""
    from fusionlab.config import load_study
    from fusionlab.paper import run_study
    from fusionlab.studies.ray_executor import Cluster

    if ray is not None and workers is not None:
        raise click.UsageError("--workers is for this machine: leave it out beside --ray")
    if ray is None and gpus_per_run is not None:
        raise click.UsageError("--gpus-per-run needs --ray ADDRESS")
    asked, folder = load_study(config, overrides, plugins), out or Path("reports") / config.stem
    cluster = None if ray is None else Cluster(ray, gpus_per_run)
    run_study(asked, folder, runs=runs, workers=workers or 1, cluster=cluster)


@main.command()
@config_argument
@overrides_argument
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Processes that decode; with --ray actors that encode.",
)
@click.option("--ray", metavar="ADDRESS", help="Encode on a Ray cluster; `local` starts one here.")
@runs_option
@plugin_option
def encode(
    config: Path,
    overrides: tuple[str, ...],
    device: str,
    workers: int,
    ray: str | None,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Encode the raw media of an experiment or a study; what is in the store is not done again."""
    from fusionlab import terminal
    from fusionlab.config import Study, load_config
    from fusionlab.encoders.encode import Machine
    from fusionlab.encoders.encode import encode as encoded
    from fusionlab.studies.store import RunStore
    from fusionlab.studies.study import encoding_experiments

    asked, store = load_config(config, overrides, plugins), RunStore(runs)
    machine = Machine(device, workers, ray)
    machine.get_ready()
    experiments = encoding_experiments(asked) if isinstance(asked, Study) else [asked]
    frozen = [
        {name: one for name, one in experiment.encodings.items() if not one.trained}
        for experiment in experiments
    ]
    if not any(frozen):
        raise FusionlabError(
            f"{config}: encoders: found none that is not trained, expected at least one: the name "
            "of a modality, with the column of raw media it is made `of` and the `encoder`"
        )
    for experiment, encodings in zip(experiments, frozen, strict=True):
        dataset = experiment.dataset.build().load()
        with terminal.encoding() as on_items:
            columns = encoded(dataset, encodings, store.features, machine, on_items)
        terminal.show(terminal.encoded_table(columns))
        terminal.say(*(f"{modality}: {column.folder}" for modality, column in columns.items()))


@main.command(name="list")
@click.argument("family", required=False)
@plugin_option
def list_parts(family: str | None, plugins: tuple[str, ...]) -> None:
    """List the families of parts, or the parts of one FAMILY."""
    from fusionlab import describe, terminal

    terminal.show(describe.parts(family, plugins))


@main.command()
@click.argument("family")
@click.argument("name")
@plugin_option
def show(family: str, name: str, plugins: tuple[str, ...]) -> None:
    """Show a part: what it does, its formula, its options and their defaults."""
    from fusionlab import describe, terminal

    terminal.show(*describe.part(family, name, plugins))


@main.command()
@click.argument("kind", type=click.Choice(["experiment", "study"]), default="experiment")
@plugin_option
def schema(kind: str, plugins: tuple[str, ...]) -> None:
    """Print the JSON Schema of a configuration file, for editors."""
    from fusionlab import describe

    click.echo(describe.schema(kind, plugins))


@main.command()
@runs_option
def doctor(runs: Path) -> None:
    """Show versions, devices, weights, folders, and what each missing extra is for."""
    from fusionlab import terminal
    from fusionlab.doctor import machine

    terminal.show(machine(runs))


@main.command()
@click.argument("names", nargs=-1)
@plugin_option
def check(names: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    """Run the contract tests on fusion strategies: NAMES, or those of the plug-ins, or all."""
    from fusionlab import describe, terminal
    from fusionlab.fusion.checks import check_all

    results = check_all(describe.names_to_check(names, plugins))
    terminal.show(terminal.check_table(results))
    if any(result.problem for result in results):
        raise click.exceptions.Exit(1)


@main.group()
def data() -> None:
    """Look at data."""


@data.command()
@config_argument
@overrides_argument
@runs_option
@plugin_option
def inspect(config: Path, overrides: tuple[str, ...], runs: Path, plugins: tuple[str, ...]) -> None:
    """Print counts, sparsity and coverage of an experiment's dataset; refuse what is broken."""
    from fusionlab import terminal
    from fusionlab.config import load_experiment
    from fusionlab.data.inspect import inspect as look
    from fusionlab.data.inspect import render
    from fusionlab.studies.datasets import load_dataset
    from fusionlab.studies.store import RunStore

    experiment = load_experiment(config, overrides, plugins)
    terminal.show(render(look(load_dataset(experiment, RunStore(runs).features))))
