"""From a study to a paper: `fusionlab table`, `compare-studies`, `power` and `export`."""

from __future__ import annotations

from pathlib import Path

import click

from fusionlab.cli_options import overrides_argument, plugin_option, runs_option

source_argument = click.argument("source", type=click.Path(path_type=Path), required=False)


@click.command()
@source_argument
@overrides_argument
@click.option("--name", help="Of the table; default: all of them.")
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["md", "csv", "tex", "html"]),
    help="Print the file instead of a table for the terminal.",
)
@click.option(
    "--why",
    "cell",
    nargs=2,
    metavar="ROW COLUMN",
    help="Print the run records behind a cell.",
)
@click.option(
    "--check",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Build the table anew and compare this file with it, byte for byte.",
)
@runs_option
@plugin_option
def table(
    source: Path | None,
    overrides: tuple[str, ...],
    name: str | None,
    suffix: str | None,
    cell: tuple[str, str] | None,
    file: Path | None,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Print the tables of finished runs; nothing is run.

    SOURCE is a study's file, or the folder of a report or of an export; with --check, the folder of
    the file if it is left out.
    """
    from fusionlab import terminal
    from fusionlab.errors import FusionlabError, one_of
    from fusionlab.reporting.check import check_file
    from fusionlab.reporting.render import to_terminal
    from fusionlab.reporting.report import FORMATS
    from fusionlab.reporting.results import read_results
    from fusionlab.reporting.why import why

    place = source or (file and file.parent)
    if place is None:
        raise click.UsageError("expected SOURCE: a study's file, or the folder of a report")
    if sum(map(bool, (suffix, cell, file))) > 1:
        raise click.UsageError("--format, --why and --check: expected one of them")
    results = read_results(place, runs, overrides, plugins)
    tables = results.tables()
    if name is not None and name not in tables:
        raise FusionlabError(f"--name: {one_of(name, tables)}")
    chosen = tables if name is None else {name: tables[name]}
    if file is not None:
        found = check_file(file, chosen)
        terminal.say(f"{file}: the same bytes as the table {found} from its run records")
    elif cell is not None:
        first = name or "quality"
        terminal.show(to_terminal(why(first, tables[first], results.rows, *cell)))
    elif suffix is not None:
        click.echo("\n".join(FORMATS[suffix](one) for one in chosen.values()), nl=False)
    else:
        terminal.show(*(to_terminal(one) for one in chosen.values()))


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@overrides_argument
@click.option("--difference", type=float, required=True, help="To be found, such as .005.")
@click.option("--metric", help="Of single users; default: the study's main one.")
@click.option("--power", "chance", default=0.8, show_default=True, help="Chance to find it.")
@runs_option
@plugin_option
def power(
    source: Path,
    overrides: tuple[str, ...],
    difference: float,
    metric: str | None,
    chance: float,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Tell how many users or seeds find a stated difference, from the spread of finished runs.

    SOURCE is a study's file, or the folder of a report or of an export.
    """
    from fusionlab import terminal
    from fusionlab.reporting.power_table import power_table
    from fusionlab.reporting.render import to_terminal
    from fusionlab.reporting.results import read_results

    results = read_results(source, runs, overrides, plugins)
    terminal.show(to_terminal(power_table(results, difference, metric=metric, power=chance)))


@click.command(name="compare-studies")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metric", help="That all studies have; default: the main one of each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports/compare"),
    show_default=True,
    help="Where table and figure go.",
)
@runs_option
@plugin_option
def compare_studies(
    sources: tuple[Path, ...],
    metric: str | None,
    out: Path,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Rank the rows that several studies share: Friedman's test and critical differences.

    SOURCES are studies' files, or the folders of reports or exports, a data set each.
    """
    from fusionlab import terminal
    from fusionlab.data.disk import write_whole
    from fusionlab.reporting.ranks import critical_difference, rank_studies
    from fusionlab.reporting.render import to_terminal
    from fusionlab.reporting.report import FORMATS
    from fusionlab.reporting.results import read_results
    from fusionlab.reporting.style import save

    studies = [read_results(source, runs, plugins=plugins) for source in sources]
    ranking = rank_studies(studies, metric=metric)
    terminal.show(to_terminal(ranking.table))
    files = [
        write_whole(out / f"ranks.{suffix}", render(ranking.table).encode())
        for suffix, render in FORMATS.items()
    ]
    files += save(critical_difference(ranking), out / "critical_difference")
    terminal.say(*(f"wrote {file}" for file in files))


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@overrides_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="The new folder (default: exports/NAME of the study).",
)
@runs_option
@plugin_option
def export(
    source: Path,
    overrides: tuple[str, ...],
    out: Path | None,
    runs: Path,
    plugins: tuple[str, ...],
) -> None:
    """Write a finished study into a folder of its own: report, records, configuration, versions.

    SOURCE is a study's file, or the folder of a report.
    """
    from fusionlab import terminal
    from fusionlab.reporting.export import export as write
    from fusionlab.reporting.results import read_results

    results = read_results(source, runs, overrides, plugins)
    folder = write(results, out or Path("exports") / source.stem)
    terminal.say(f"wrote {folder}", f"check it: fusionlab table --check {folder}/quality.tex")
