"""`fusionlab bench`: speed, memory and FLOPs of fusion strategies."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from fusionlab.cli_options import plugin_option


@click.command()
@click.argument("fusions", nargs=-1, metavar="[FUSION]...")
@click.option("--items", default=2048, show_default=True, help="B, items a step.")
@click.option("--catalogue", default=7050, show_default=True, help="N, items of the catalogue.")
@click.option(
    "--modality",
    "modalities",
    multiple=True,
    default=("text=384", "image=512", "audio=128"),
    show_default=True,
    metavar="NAME=[TOKENSx]WIDTH",
    help="The shape of a modality; once for each.",
)
@click.option("--dim", default=64, show_default=True, help="D, the width of a view.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option(
    "--precision", default="fp32", show_default=True, help="fp32, or bf16: features and autocast."
)
@click.option("--threads", default=1, show_default=True, help="Threads of torch.")
@click.option("--rounds", default=20, show_default=True, help="Calls that are timed.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="JSON to write.")
@click.option(
    "--compare",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="OLD.json NEW.json",
    help="Measure nothing; print the ratios of two results.",
)
@plugin_option
def bench(
    fusions: tuple[str, ...],
    modalities: tuple[str, ...],
    out: Path | None,
    compare: tuple[Path, Path] | None,
    plugins: tuple[str, ...],
    **setting: int | str,
) -> None:
    """Measure speed, memory and FLOPs of fusion strategies: those given, the plug-ins', or all.

    FUSION is a name or, with options, '{name: gated, gate: sigmoid}'. All are those that need no
    pretrained model.
    """
    from fusionlab import describe, terminal
    from fusionlab.benchmarking import fusion, results, tables
    from fusionlab.data.disk import writable
    from fusionlab.reporting.render import to_terminal
    from fusionlab.schema import validate

    given = click.get_current_context().get_parameter_source
    names = ("fusions", "modalities", "out", "plugins", *setting)
    if compare and any(given(name) is not ParameterSource.DEFAULT for name in names):
        raise click.UsageError("--compare measures nothing: leave out strategies and options")
    if compare:
        old, new = map(results.BenchReport.read, compare)
        terminal.show(
            to_terminal(tables.compare_table(old, new, (compare[0].name, compare[1].name)))
        )
        return
    shapes = results.parse_modalities(modalities)
    asked = validate(results.Setting, {**setting, "modalities": shapes})
    chosen = describe.parts_to_bench(fusions, plugins)
    if out:
        writable(out)
    try:
        with terminal.runs("benchmark", len(chosen)) as on_fusion:
            report = fusion.bench(chosen, asked, on_fusion=on_fusion)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; nothing of a benchmark is kept") from None
    terminal.show(to_terminal(tables.bench_table(report)))
    if out:
        terminal.say(f"wrote {report.write(out)}")
