"""What is recommended: lists of items, for people to read and for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recommendation:
    """One item of a list; ``new``: it was added after training.

    ``contributions``: what its score loses where a modality is masked, in units of the score;
    ``view_weights``: how much each view of the strategy counts in it.
    """

    item: str
    score: float
    title: str | None = None
    new: bool = False
    contributions: dict[str, float] = field(default_factory=dict)
    view_weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Recommended:
    """A list, best first, for a user of training or (None) a stranger.

    ``hidden``: contributions were asked for and left out, since the model has not seen subsets of
    its modalities in training (``coalition_training``). ``recall``: the share of the exact lists
    that an approximate index finds, where one was used; ``index``: how it searches, ``probed`` of
    ``lists``, and, over many ``queries`` at once, how many it and exact lists answer a second
    (``per_second``, ``exact_per_second``). ``context``: the situation it is for.
    """

    run: str
    user: str | None
    items: list[Recommendation]
    coalition_training: str
    hidden: bool = False
    recall: float | None = None
    index: dict[str, float] = field(default_factory=dict, compare=False)
    notes: list[str] = field(default_factory=list)
    context: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
