"""Shapley values: what each player of a cooperative game is worth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError

Coalition = frozenset[str]
Game = Callable[[Coalition], Tensor]
"""v(S): a coalition to its value, a tensor of the same shape for each (one number a user, say)."""

EXACT_PLAYERS = 6
"""Up to so many players all 2^M coalitions are played: 64 at most."""


@dataclass(frozen=True)
class Shapley:
    """Shapley values of a game, each a float64 tensor of the shape of v(S).

    ``values[m]``; ``error[m]`` are standard errors over sampled orders, None where the values are
    exact; ``whole`` is v(all) and ``nothing`` v({}). Values, sampled ones too, sum to ``whole -
    nothing``. What is averaged over users may be averaged after: the value is linear in the game.
    """

    values: dict[str, Tensor]
    error: dict[str, Tensor] | None
    whole: Tensor
    nothing: Tensor


def shapley(
    players: Sequence[str],
    game: Game,
    *,
    exact: int = EXACT_PLAYERS,
    pairs: int = 64,
    seed: int = 0,
) -> Shapley:
    """The Shapley value of each player.

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (v(S + m) - v(S)), which is the mean
    over all orders of the players of what m adds to those before it.

    With more than ``exact`` players it is the mean over 2 ``pairs`` random orders, each beside its
    reverse (antithetic), and the standard error is that of the mean over pairs. A coalition is
    played once in a call, and nothing outlives the call: another model is another game.

    Args:
        players: their names, each once.
        game: v(S); with tensors of a value a user, values are found for every user at once.
        exact: at most so many players are computed exactly.
        pairs: antithetic pairs of orders, 2 or more.
        seed: of the orders.

    Source: Shapley 1953, A value for n-person games; Castro et al. 2009, Polynomial calculation of
    the Shapley value based on sampling; Mitchell et al. 2022, Sampling permutations for Shapley
    value estimation.
    """
    if len(set(players)) < len(players) or not players:
        raise FusionlabError(f"players: found {list(players)}, expected names, each once")
    if pairs < 2:
        raise FusionlabError(f"pairs: found {pairs}, expected 2 or more, to tell an error")
    play = remembered(game)
    whole, nothing = play(frozenset(players)), play(frozenset())
    if len(players) <= exact:
        return Shapley(_exact(players, play), None, whole, nothing)
    values, error = _sampled(players, play, pairs, seed)
    return Shapley(values, error, whole, nothing)


def remembered(game: Game) -> Game:
    """The same game, in float64, each of whose coalitions is played once."""
    played: dict[Coalition, Tensor] = {}

    def play(coalition: Coalition) -> Tensor:
        if coalition not in played:
            played[coalition] = game(coalition).double()
        return played[coalition]

    return play


def _exact(players: Sequence[str], play: Game) -> dict[str, Tensor]:
    n, values = len(players), {}
    for one in players:
        rest = [other for other in players if other != one]
        total = torch.zeros_like(play(frozenset()))
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for chosen in itertools.combinations(rest, size):
                before = frozenset(chosen)
                total += weight * (play(before | {one}) - play(before))
        values[one] = total
    return values


def _sampled(
    players: Sequence[str], play: Game, pairs: int, seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Means over pairs of orders, and their standard errors."""
    generator = torch.Generator().manual_seed(seed)
    zero = torch.zeros_like(play(frozenset()))
    mean, squares = ({one: zero.clone() for one in players} for _ in range(2))
    for count in range(1, pairs + 1):
        order = [players[i] for i in torch.randperm(len(players), generator=generator).tolist()]
        forth, back = _added(order, play), _added(order[::-1], play)
        for one in players:  # Welford's running mean and sum of squares
            found = (forth[one] + back[one]) / 2
            before = found - mean[one]
            mean[one] += before / count
            squares[one] += before * (found - mean[one])
    error = {one: (x / (pairs - 1) / pairs).sqrt() for one, x in squares.items()}
    return mean, error


def _added(order: Sequence[str], play: Game) -> dict[str, Tensor]:
    """What each player adds to those before it."""
    values = [play(frozenset(order[:k])) for k in range(len(order) + 1)]
    return {one: values[k + 1] - values[k] for k, one in enumerate(order)}
