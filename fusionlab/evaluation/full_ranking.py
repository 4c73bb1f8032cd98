"""Full-ranking evaluation: each user ranks the whole catalogue once, for all splits and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.cold import cold_and_warm
from fusionlab.evaluation.metrics import (
    FULL_METRICS,
    catalogue_metrics,
    check_names,
    hits_of,
    list_metrics,
)
from fusionlab.evaluation.ranking import Scores, clicks_of, score_blocks
from fusionlab.evaluation.result import Evaluation
from fusionlab.evaluation.ties import fair_k


def evaluate(
    scores: Scores,
    exclude: Clicks,
    relevant: Mapping[str, Clicks],
    *,
    metrics: Sequence[str],
    cutoffs: Sequence[int],
    block: int | None = None,
    device: torch.device | str = "cpu",
    cold: bool = False,
    people: Tensor | None = None,
) -> dict[str, Evaluation]:
    """Rank all N items for each user and judge the lists against every split.

    A split judges the users who have a positive in it; the others are left out of its means and of
    its catalogue figures. An item of ``exclude`` is never recommended: where it is also relevant it
    cannot be hit, but it still counts among the positives. Of equal scores the lower item row comes
    first, as in `top_k`; only where all candidates of a user tie is the list drawn (`fair_k`).

    Args:
        scores: users (b,) on ``device`` to scores (b, N); what it returns may be overwritten.
        exclude: items that are never recommended, as a rule the train clicks (U rows, N items).
        relevant: split name to the positives, over the same users and items.
        metrics: names from `LIST_METRICS`, `CATALOGUE_METRICS` and `FULL_METRICS`.
        cutoffs: lengths K of the lists judged.
        block: b, users scored at a time; it bounds memory and changes no figure. By default 256,
            fewer for more than 131,072 items.
        device: where scores are computed and ranked; results are on the CPU.
        cold: also judge, apart, items and users with and without an excluded click
            (`cold_and_warm`).
        people: (U,) who each user is where lists are drawn; default: the users' rows.

    Returns:
        an `Evaluation` a split: units are users, figures are ``name@K`` (and ``auc``).

    Raises:
        FusionlabError: unknown metric, bad cutoff, splits that do not fit, a split without
            positives, scores of a wrong shape or type, or NaN.
    """
    check_names(metrics, cutoffs)
    if not relevant:
        raise FusionlabError("relevant: found no split, expected at least one, such as 'valid'")
    for split, clicks in relevant.items():
        _check_split(split, clicks, exclude)
    judged = {split: clicks.counts > 0 for split, clicks in relevant.items()}
    users = torch.stack([*judged.values()]).any(dim=0).nonzero()[:, 0]
    lists = torch.empty(len(users), max(cutoffs, default=0), dtype=torch.int64)
    tied = torch.zeros(len(users), dtype=torch.bool)
    full = {
        (split, name): torch.empty(len(users), dtype=torch.float64)
        for split in relevant
        for name in metrics
        if name in FULL_METRICS
    }
    people = None if people is None else people.to(device)
    for part in score_blocks(scores, exclude, users, block=block, device=device):
        names = part.users if people is None else people[part.users]
        shown, drawn = fair_k(part, lists.shape[1], names)
        lists[part.rows], tied[part.rows] = shown.cpu(), drawn.cpu()
        for (split, name), values in full.items():
            rows, items = clicks_of(relevant[split], users[part.rows])
            positives = rows.to(part.scores.device), items.to(part.scores.device)
            values[part.rows] = FULL_METRICS[name](part, *positives).cpu()

    results: dict[str, Evaluation] = {}
    for split, clicks in relevant.items():
        rows = judged[split][users].nonzero()[:, 0]
        units, shown = users[rows], lists[rows]
        hits = hits_of(shown, clicks, units)
        per_unit = list_metrics(metrics, cutoffs, hits, clicks.counts[units])
        of_some = {}
        if cold:
            of_some = cold_and_warm(
                metrics, cutoffs, shown, hits, clicks, exclude, units, whole=per_unit
            )
        per_unit |= {name: values[rows] for (s, name), values in full.items() if s == split}
        overall = catalogue_metrics(metrics, cutoffs, shown, exclude.popularity)
        results[split] = Evaluation(units, per_unit, overall, of_some, tied[rows])
    return results


def _check_split(split: str, clicks: Clicks, exclude: Clicks) -> None:
    found, expected = (clicks.n_users, clicks.n_items), (exclude.n_users, exclude.n_items)
    if found != expected:
        raise FusionlabError(
            f"relevant[{split!r}]: found {found[0]} users and {found[1]} items, expected "
            f"{expected[0]} and {expected[1]} as in the excluded clicks"
        )
    if len(clicks) == 0:
        raise FusionlabError(f"relevant[{split!r}]: found no positive, expected at least one")
