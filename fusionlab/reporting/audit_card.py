"""An audit on the terminal: one card for what each modality contributed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fusionlab.evaluation.contribution import Effect
from fusionlab.evaluation.knockouts import KNOCKOUTS
from fusionlab.reporting.table import decimal
from fusionlab.studies.audited import Audit, ModalityAudit

BAR = 16
"""Characters of the longest bar."""
OWN = "the strategy's own weights"
LEFT_OUT = (
    "Masked and Shapley values are left out: in training the model has never seen a subset of its "
    "modalities (coalition training: none), so what it says of one may mean nothing. Train with "
    "training.modality_dropout or a balancer that hears modalities alone, or ask for them all the "
    "same: --untrained-coalitions."
)


def audit_card(audit: Audit) -> Panel:
    """All of an audit in one frame."""
    parts: list[RenderableType] = [_head(audit)]
    parts += [Text(f"WARNING: {text}", style="bold white on red") for text in audit.warnings]
    parts.append(_losses(audit))
    if audit.hidden:
        parts.append(Text(LEFT_OUT, style="yellow"))
    else:
        parts.append(_shares(audit))
    parts += _of_groups(audit)
    if any(audit.predicts.values()):
        parts.append(_matrix(audit))
    where = "in top lists" if audit.unit == "users" else "of the predicted class"
    if audit.view_weights:
        parts.append(_weights(f"view weights {where}", audit.view_weights))
    if audit.hidden and audit.modality_weights:
        parts.append(_weights(f"{OWN} {where}", audit.modality_weights))
    body = Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))
    title = Text(f"audit of run {audit.run[:12]}", "bold")
    return Panel(body, title=title, expand=False, padding=(1, 2, 0, 2))


def _head(audit: Audit) -> Text:
    lines = (
        f"{audit.label}\n{audit.metric} on {audit.split}: ",
        (decimal(audit.whole.mean), "bold"),
        f" (mean over {audit.units:,} {audit.unit}, ± standard error {decimal(audit.whole.error)})",
    )
    return Text.assemble(*lines)


def _losses(audit: Audit) -> Table:
    """What the metric loses, a row a modality and a column a way to take it away."""
    table = plain_table(f"loss of {audit.metric} where a modality is ...")
    ways = list(KNOCKOUTS)
    retrained = any(one.retrained for one in audit.modalities.values())
    extra = [name for name, on in (("masked", not audit.hidden), ("never there", retrained)) if on]
    for heading in ("", *ways, *extra):
        table.add_column(heading, justify="right" if heading else "left")
    for name, one in audit.modalities.items():
        effects = [one.knockouts.get(way) for way in ways]
        effects += [] if audit.hidden else [one.masked]
        effects += [one.retrained] if retrained else []
        table.add_row(name, *map(_effect, effects))
    return table


def _shares(audit: Audit) -> Table:
    """Shapley values as bars, from the metric with nothing to that with everything."""
    table = plain_table("Shapley value", f"coalition training: {audit.coalition_training}")
    own = audit.modality_weights
    for heading in ("", "value", "", *([OWN] if own else [])):
        table.add_column(heading, justify="right" if heading else "left")
    sizes = [abs(one.shapley.mean) for one in audit.modalities.values() if one.shapley]
    longest = max([*sizes, 1e-12])
    assert audit.nothing is not None
    table.add_row("nothing", _effect(audit.nothing), "", style="dim")
    for name, one in audit.modalities.items():
        assert one.shapley is not None
        bar = "█" * round(BAR * abs(one.shapley.mean) / longest)
        weight = [Text(decimal(own[name], 3), "cyan")] if own else []
        colour = "green" if one.shapley.mean > 0 else "red"
        table.add_row(name, _share(one), Text(bar, colour), *weight)
    table.add_row("everything", _effect(audit.whole), "", style="bold")
    return table


def _of_groups(audit: Audit) -> list[RenderableType]:
    """By group of users: Shapley values and losses, of those that are not left out."""
    ways: dict[str, Callable[[ModalityAudit], Effect | None]] = {
        "Shapley value": lambda one: one.shapley,
        "loss where masked": lambda one: one.masked,
    }
    if audit.hidden:
        ways = {"loss where shuffled": lambda one: one.knockouts.get("shuffled")}
    tables: list[RenderableType] = []
    for title, way in ways.items() if audit.groups else ():
        table = plain_table(f"{title}, by group of users")
        for heading in ("", "users", audit.metric, *audit.modalities):
            table.add_column(heading, justify="right" if heading else "left")
        for name, group in audit.groups.items():
            effects = [_effect(way(one)) for one in group.modalities.values()]
            table.add_row(name, f"{group.units:,}", _effect(group.whole), *effects)
        tables.append(table)
    return tables


def _share(one: ModalityAudit) -> Text:
    text = _effect(one.shapley)
    if one.sampling_error:
        text.append(f" (orders ±{decimal(one.sampling_error)})", "dim")
    return text


def _matrix(audit: Audit) -> Table:
    table = plain_table("R² of column from row")
    names = list(audit.predicts)
    for heading in ("", *names):
        table.add_column(heading, justify="right" if heading else "left")
    for source in names:
        told = (audit.predicts[source].get(target) for target in names)
        table.add_row(source, *("·" if r2 is None else decimal(r2, 2) for r2 in told))
    return table


def _weights(title: str, weights: Mapping[str, float]) -> Table:
    table = plain_table(title)
    for heading in ("", "weight", ""):
        table.add_column(heading, justify="right" if heading == "weight" else "left")
    for name, weight in weights.items():
        table.add_row(name, decimal(weight, 3), Text("█" * round(BAR * weight), "cyan"))
    return table


def plain_table(title: str, caption: str = "") -> Table:
    """A table of a card: a bold title, a rule below the headings."""
    return Table(
        title=Text(title, "bold"),
        title_justify="left",
        caption=Text(caption) if caption else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )


def _effect(effect: Effect | None) -> Text:
    """A mean that stands out where it is more than two standard errors away from zero."""
    if effect is None:
        return Text("–", "dim")
    sure = abs(effect.mean) > 2 * effect.error
    style = "" if not sure else "bold green" if effect.mean > 0 else "bold red"
    return Text.assemble((decimal(effect.mean), style), (f" ±{decimal(effect.error)}", "dim"))
