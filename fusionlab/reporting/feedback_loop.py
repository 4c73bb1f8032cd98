"""The figure of the simulated feedback loop: what users get, round by round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fusionlab.reporting.style import DOUBLE_WIDTH, LIGHT, LINE_COLORS, new_figure, styled
from fusionlab.serving.simulation import UPDATES, Course, Floats, Policy

NAMES = {"none": "no update", "profile": "profile update", "fine_tune": "fine-tuning"}
PANELS = {
    "judged": "Best list of the half that is never shown",
    "shown": "List that was shown, from the other half",
}


def policy_name(policy: Policy) -> str:
    """How a policy is called in tables and figures."""
    explored = f", {policy.explore:.0%} explored" if policy.explore else ""
    return NAMES[policy.update] + explored


def feedback_loop(courses: Mapping[Policy, Sequence[Course]]) -> Figure:
    """Shares of the achievable utility by round, a line a policy.

    Args:
        courses: of each policy a course a seed. Lines are means over users and seeds, bands one
            standard deviation over seeds.
    """
    with styled():
        figure = new_figure(DOUBLE_WIDTH, 2.9)
        every = figure.subplots(1, len(PANELS))
        for axes, (panel, title) in zip(every, PANELS.items(), strict=True):
            for policy, runs in courses.items():
                _draw(axes, policy, np.array([getattr(run, panel).mean(1) for run in runs]))
            axes.set_title(title)
            axes.set_xlabel("Round")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(axis="y", color=LIGHT, linewidth=0.4)
            axes.set_axisbelow(True)
        every[0].set_ylabel("True utility (0: even, 1: best list)")
        handles, labels = every[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, handlelength=2.6)
    return figure


def _draw(axes: Axes, policy: Policy, values: Floats) -> None:
    """The line of values (seeds, rounds)."""
    color = LINE_COLORS[UPDATES.index(policy.update)]
    rounds, mean = np.arange(values.shape[1]) + 1, values.mean(0)
    spread = values.std(0, ddof=1) if len(values) > 1 else np.zeros(len(mean))
    axes.fill_between(rounds, mean - spread, mean + spread, color=color, alpha=0.12, linewidth=0)
    dashes = "dashed" if policy.explore else "solid"
    axes.plot(rounds, mean, color=color, linestyle=dashes, label=policy_name(policy))
