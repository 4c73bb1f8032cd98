"""A figure of an audit: what each modality contributed to the metric."""

from __future__ import annotations

from matplotlib.figure import Figure

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.contribution import Effect
from fusionlab.reporting.style import BLACK, GREY, SINGLE_WIDTH, new_figure, styled
from fusionlab.studies.audited import Audit

SERIES = (("Shapley value", "#0072B2"), ("loss when masked", "#E69F00"))
SHUFFLED = ("loss when shuffled", "#999999")
BAR = 0.26
CONFIDENT = 1.96


def contribution_figure(audit: Audit, *, width: float = SINGLE_WIDTH) -> Figure:
    """Bars a modality: its Shapley value, and what the metric loses with it masked or shuffled.

    Whiskers are 95 % confidence intervals over users. Of a model whose coalitions were not trained
    only the shuffled bars are drawn, unless the audit was asked for the others.
    """
    names = list(audit.modalities)
    if not names:
        raise FusionlabError("contribution figure: found no modality, expected at least one")
    bars = [(label, color) for label, color in SERIES if not audit.hidden] + [SHUFFLED]
    with styled():
        figure = new_figure(width, 0.9 + 0.42 * len(names) + 0.12 * len(bars))
        axes = figure.add_subplot()
        for row, name in enumerate(names):
            effects = _effects(audit, name)
            for place, (label, color) in enumerate(bars):
                effect = effects[label]
                if effect is not None:
                    at = row + (place - (len(bars) - 1) / 2) * BAR
                    axes.barh(
                        at,
                        effect.mean,
                        BAR * 0.9,
                        color=color,
                        label=label if row == 0 else None,
                        xerr=CONFIDENT * effect.error,
                        error_kw={"elinewidth": 0.6, "ecolor": BLACK, "capsize": 1.5},
                    )
        axes.axvline(0, color=GREY, linewidth=0.6)
        axes.set_yticks(range(len(names)), names, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        trained = f"coalition training: {audit.coalition_training}"
        axes.set_xlabel(f"{audit.metric} on {audit.split}\n({trained})", parse_math=False)
        figure.legend(loc="outside upper left", ncols=len(bars), handlelength=1.0)
    return figure


def _effects(audit: Audit, name: str) -> dict[str, Effect | None]:
    one = audit.modalities[name]
    values = (one.shapley, one.masked, one.knockouts["shuffled"])
    labels = [label for label, _ in (*SERIES, SHUFFLED)]
    return dict(zip(labels, values, strict=True))
