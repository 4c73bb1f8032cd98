"""Users of a synthetic catalogue, whose tastes are known, in a loop of lists and updates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from fusionlab.data.interactions import Clicks
from fusionlab.data.synthetic.streams import stream
from fusionlab.data.words import SCHEMA
from fusionlab.errors import FusionlabError, one_of
from fusionlab.serving.events import Event, Kind
from fusionlab.serving.feedback import FeedbackLog
from fusionlab.serving.last_words import last_words
from fusionlab.serving.recommend import Service
from fusionlab.studies.fine_tuning import FineTuning, fine_tune
from fusionlab.studies.trained import Trained

Update = Literal["none", "profile", "fine_tune"]
UPDATES: tuple[Update, ...] = ("none", "profile", "fine_tune")
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
LIKED = 0.95
"""The quantile of a user's utilities at which an item that is shown is clicked as often as not."""


@dataclass(frozen=True)
class Policy:
    """What becomes of clicks, and how lists are made.

    Args:
        update: "none": model and histories stay; "profile": histories take the clicks in;
            "fine_tune": the model, too, goes on with every round's clicks (`fine_tune`).
        explore: the chance of each place of a list to go to an item drawn evenly from those that
            may be shown and are not in the list.
    """

    update: Update
    explore: float = 0.0

    def __post_init__(self) -> None:
        if self.update not in UPDATES:
            raise FusionlabError(f"update: {one_of(self.update, UPDATES)}")
        if not 0 <= self.explore <= 1:
            raise FusionlabError(f"explore: found {self.explore}, expected a share from 0 to 1")


@dataclass(frozen=True)
class World:
    """Who the users of a synthetic catalogue are, the same for every policy.

    Args:
        utility: (U, N) what an item is worth to a user (`Truth.utility`).
        clicks: (U, N) whether the user will click the item if it is shown.
        shown: (U, N) the half of the catalogue that the user's lists are made of.
        judged: (U, N) the other half, which nobody shows them. Neither half has items that the
            user has clicked in train or validation.
    """

    utility: Floats
    clicks: Flags
    shown: Flags
    judged: Flags

    def share(self, lists: Rows, half: Flags) -> Floats:
        """(U,) of the mean utility of ``lists`` (U, k): 0 is a list drawn evenly from ``half``, 1
        the best list that can be made of it."""
        mean = np.take_along_axis(self.utility, lists, axis=1).mean(1)
        best = np.sort(np.where(half, self.utility, -np.inf), axis=1)[:, -lists.shape[1] :].mean(1)
        even = np.where(half, self.utility, 0).sum(1) / half.sum(1)
        return (mean - even) / (best - even)


def draw_world(trained: Trained, seed: int) -> World:
    """The users of ``trained``'s dataset, their halves and their clicks to come.

    P(click | shown) = sigmoid((utility - q) / tau), q the user's `LIKED` quantile of utility over
    the catalogue and tau the temperature of the clicks of training; the place in the list does not
    matter. Whether a user would click an item is drawn once, so policies meet the same users, and
    so are the halves, each item with chance 1/2.

    Raises:
        FusionlabError: a dataset without a known truth.
    """
    truth, clicks = trained.dataset.truth, trained.dataset.interactions
    if truth is None or clicks is None:
        raise FusionlabError(
            f"dataset {trained.dataset.name!r}: found no known tastes, expected dataset.name="
            "synthetic of the task recommendation"
        )
    utility = truth.utility(torch.arange(clicks.n_users)).double().numpy()
    bound = np.quantile(utility, LIKED, axis=1, keepdims=True)
    chance = 1 / (1 + np.exp((bound - utility) / truth.tau))
    open_ = ~(_flags(clicks.train) | _flags(clicks.valid))
    half = stream(seed, "half").random(utility.shape) < 0.5
    would = stream(seed, "feedback").random(utility.shape) < chance
    return World(utility, would, open_ & half, open_ & ~half)


@dataclass(frozen=True)
class Course:
    """What users got round by round, as shares of the achievable (`World.share`).

    Args:
        judged: (R, U) of the model's best list of the half that nobody shows.
        shown: (R, U) of the list that was shown, of the whole other half: what was shown before is
            not shown again, so a policy that learns nothing falls here.
        clicks: (R,) clicks a user.
    """

    judged: Floats
    shown: Floats
    clicks: Floats


def simulate(
    trained: Trained,
    policy: Policy,
    world: World,
    file: Path,
    *,
    rounds: int = 8,
    k: int = 5,
    seed: int = 0,
    tuning: FineTuning | None = None,
) -> Course:
    """Every round each user is shown k items, clicks some of them, and the policy learns of it.

    Lists come from `Service`, impressions and clicks go to a `FeedbackLog`. A list holds the best
    items of the user's half that were not shown before, some places given up to exploration. In the
    same round the best k items of the other half are judged: no item there is ever shown, so they
    are chosen from the same candidates in every round, and nothing is gained by remembering what
    was clicked. The first round comes before any feedback.

    Args:
        trained: a run on a synthetic catalogue; stays as it is.
        policy: what is done.
        world: of `draw_world`.
        file: of the log, which must not be there yet.
        rounds: R, lists a user.
        k: length of the lists.
        seed: of exploration.
        tuning: of "fine_tune".

    Raises:
        FusionlabError: a log that is there, halves that are too small, what `fine_tune` refuses.
    """
    if file.exists():
        raise FusionlabError(f"{file}: found a log, expected none: users begin without feedback")
    if min(world.shown.sum(1).min() // rounds, world.judged.sum(1).min()) < k:
        raise FusionlabError(
            f"rounds: found {rounds} of {k} items, more than a user's half holds, expected fewer "
            "of either, or a catalogue with more items"
        )
    assert trained.dataset.interactions is not None
    users = [*map(str, trained.dataset.interactions.user_ids)]
    items = [*map(str, trained.dataset.item_ids)]
    rng, left = stream(seed, "explore"), world.shown.copy()
    judged, shown, clicks = [], [], []
    with FeedbackLog(file, users, items) as log:
        heard = None if policy.update == "none" else log
        service = Service(trained, log=heard)
        for _ in range(rounds):
            ranked = _ranked(service, users)
            judged.append(world.share(_best(ranked, world.judged, k), world.judged))
            lists = _with_even(_best(ranked, left, k), left, policy.explore, rng)
            np.put_along_axis(left, lists, False, axis=1)
            shown.append(world.share(lists, world.shown))
            clicked = np.take_along_axis(world.clicks, lists, axis=1)
            clicks.append(clicked.sum(1).mean())
            log.add(*_events(lists, clicked, users, items))
            if policy.update == "fine_tune" and clicked.any():
                trained = fine_tune(trained, _words(log), tuning)
                service = Service(trained, log=heard)
    return Course(np.array(judged), np.array(shown), np.array(clicks))


def _ranked(service: Service, users: list[str]) -> list[Rows]:
    """Of each user the rows of all items that can be recommended, best first."""
    lists = service.recommend(users, k=len(service.item_ids))
    return [
        np.array([service.item_rows[one.item] for one in ranked.items], dtype=np.int64)
        for ranked in lists
    ]


def _best(ranked: list[Rows], among: Flags, k: int) -> Rows:
    """(U, k): the first items of each ranking that are ``among`` (U, N) the candidates."""
    return np.stack([rows[among[user, rows]][:k] for user, rows in enumerate(ranked)])


def _with_even(lists: Rows, left: Flags, explore: float, rng: np.random.Generator) -> Rows:
    """The lists with each place, with chance ``explore``, given to an item of ``left`` (U, N) that
    is drawn evenly among those not in the list."""
    rest = left.copy()
    np.put_along_axis(rest, lists, False, axis=1)
    order = np.where(rest, rng.random(left.shape), np.inf).argsort(1)[:, : lists.shape[1]]
    drawn = (rng.random(lists.shape) < explore) & np.take_along_axis(rest, order, axis=1)
    return np.where(drawn, order, lists)


def _events(lists: Rows, clicked: Flags, users: list[str], items: list[str]) -> list[Event]:
    """An impression of every item, and a click of what was clicked."""
    events = []
    for user, row, marks in zip(users, lists.tolist(), clicked.tolist(), strict=True):
        events += [Event(Kind.IMPRESSION, user, items[item]) for item in row]
        events += [
            Event(Kind.CLICK, user, items[item])
            for item, mark in zip(row, marks, strict=True)
            if mark
        ]
    return events


def _words(log: FeedbackLog) -> pl.DataFrame:
    words = last_words(log.events(), None)
    return pl.DataFrame(
        [(one.user, one.item, one.liked) for one in words], schema=SCHEMA, orient="row"
    )


def _flags(clicks: Clicks) -> Flags:
    """(U, N)."""
    flags = np.zeros((clicks.n_users, clicks.n_items), dtype=np.bool_)
    flags[clicks.users.numpy(), clicks.items.numpy()] = True
    return flags
