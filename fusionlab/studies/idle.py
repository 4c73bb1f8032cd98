"""A balancer that did nothing to the model that is kept is said loudly."""

from __future__ import annotations

from fusionlab.studies.build import AnyTask


def idle_balancer(task: AnyTask) -> list[str]:
    """A sentence if the balancer acts on parameters of single modalities alone (`Balancer.owners`)
    and too few modalities have any that are trained: what is said of it is said of none."""
    balancer, fusion = task.balancer, task.model.fusion
    if fusion is None or not balancer.owners:
        return []
    owners = [
        name
        for name in balancer.modalities
        if any(parameter.requires_grad for parameter in fusion.modality_parameters(name))
    ]
    if len(owners) >= balancer.owners:
        return []
    found = f"parameters of {', '.join(owners)} alone" if owners else "no parameters"
    of = "" if owners else " of single modalities"
    return [
        f"balancer {balancer.name!r} finds {found}{of} in fusion {fusion.name!r}: it does nothing"
    ]


def waiting_balancer(task: AnyTask, best_epoch: int) -> list[str]:
    """A sentence if the best epoch was over before the balancer did what it does (`waits`)."""
    balancer = task.balancer
    if not 0 < best_epoch <= balancer.waits:
        return []
    return [
        f"balancer {balancer.name!r} goes by what it measures from epoch {balancer.waits + 1} on, "
        f"but epoch {best_epoch} was the best: the model that is kept is one from before; lower "
        "training.learning_rate, or let it act sooner"
    ]
