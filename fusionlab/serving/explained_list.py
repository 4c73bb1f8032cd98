"""A user's top list, and what each modality (each token, even) of its items counted for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.attribution import token_attributions
from fusionlab.evaluation.ranking import NOTHING, top_k
from fusionlab.fusion.seen import encoded
from fusionlab.serving.contributions import shapley_contributions
from fusionlab.studies.record import UNTRAINED
from fusionlab.studies.trained import Trained
from fusionlab.training.classification import ClassificationTask
from fusionlab.training.items import catalogue_views
from fusionlab.training.ranking import RankingTask


@dataclass(frozen=True)
class ListedItem:
    """A recommended item: ``score`` is ``nothing``, what is said of it with every modality masked,
    and the sum of the modalities' Shapley values. Empty, and None, where they are left out."""

    item: str
    score: float
    nothing: float | None
    shapley: dict[str, float]


@dataclass(frozen=True)
class ExplainedList:
    """The best items of a user, best first; ``hidden`` as of `fusionlab.studies.audit.Audit`.

    ``tokens[m]`` are integrated gradients of the first item's score by its tokens of modality m,
    None for a token that it lacks; they sum to what its content score is above that of mean tokens.
    """

    run: str
    user: str
    hidden: bool
    items: list[ListedItem]
    tokens: dict[str, list[float | None]] | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def explain_list(
    trained: Trained,
    user: str,
    *,
    k: int = 10,
    tokens: bool = False,
    untrained_coalitions: bool = False,
) -> ExplainedList:
    """The top ``k`` of a user, train clicks left out, in the catalogue that the run is judged on.

    Args:
        trained: a run and its model.
        user: the user's id in the dataset.
        k: the length of the list.
        tokens: also split the first item's score over its tokens (`token_attributions`).
        untrained_coalitions: tell what a model says of subsets that it has never seen.

    Raises:
        FusionlabError: no such user, a model without features, or one without users.
    """
    record, dataset, task = trained
    if isinstance(task, ClassificationTask) or dataset.interactions is None:
        raise FusionlabError("--user: found items with classes, expected a run with users")
    if task.judged is None:
        raise FusionlabError(
            f"run {record.id[:12]}: recommender {task.model.name!r} reads no item features: no "
            "modality counts in its lists"
        )
    ids = [str(one) for one in dataset.interactions.user_ids]
    name = dataset.known_as(user)
    if name not in ids:
        raise FusionlabError(
            f"--user: found {user!r}, expected a user of dataset {dataset.name!r}, such as "
            f"{ids[0]!r}"
        )
    users = torch.tensor([ids.index(name)])
    lists, scores = top_k(task.ranker(), task.train, users, k, device=task.device)
    listed = [int(item) for item in lists[0] if item != NOTHING]
    hidden = record.coalition_training == UNTRAINED and not untrained_coalitions
    values = None
    if not hidden:
        values = shapley_contributions(task.model, task.judged, users, lists)
    return ExplainedList(
        record.id,
        name,
        hidden,
        [
            ListedItem(
                str(dataset.item_ids[item]),
                float(scores[0, place]),
                None if values is None else float(values.nothing[0, place]),
                {}
                if values is None
                else {name: float(x[0, place]) for name, x in values.values.items()},
            )
            for place, item in enumerate(listed)
        ],
        _tokens(task, users, listed) if tokens and listed else None,
    )


def _tokens(
    task: RankingTask, users: torch.Tensor, listed: list[int]
) -> dict[str, list[float | None]]:
    model, features = task.model, task.judged
    assert features is not None
    if model.fusion is None:
        raise FusionlabError(
            f"--tokens: recommender {model.name!r} fuses nothing; expected one that does"
        )
    catalogue = catalogue_views(model.fusion, features)
    first = torch.tensor(listed[:1], device=task.device)
    found = token_attributions(model, features, catalogue, users.to(task.device), first)
    with torch.no_grad():
        there = encoded(model.fusion, features.take(first)).mask
    return {
        name: [x if on else None for x, on in zip(values[0].tolist(), there[name][0], strict=True)]
        for name, values in found.tokens.items()
    }
