"""Shapley values: the axioms, the closed form of a known catalogue, and sampling beside it."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.shapley import shapley

NAMES = ("a", "b", "c", "d")


@st.composite
def games(draw, names=NAMES, users=3):
    """A value for every coalition and user."""
    numbers = st.floats(-10, 10, allow_nan=False)
    table = {}
    for code in range(2 ** len(names)):
        coalition = frozenset(n for k, n in enumerate(names) if code >> k & 1)
        table[coalition] = torch.tensor(
            draw(st.lists(numbers, min_size=users, max_size=users)), dtype=torch.float64
        )
    return table


@settings(max_examples=40, deadline=None)
@given(games(), games())
def test_the_axioms(first, second):
    one, other = (shapley(NAMES, game.__getitem__) for game in (first, second))
    both = shapley(NAMES, lambda s: first[s] + 2 * second[s])
    total = sum(one.values.values())
    torch.testing.assert_close(total, first[frozenset(NAMES)] - first[frozenset()])
    for name in NAMES:
        expected = one.values[name] + 2 * other.values[name]
        torch.testing.assert_close(both.values[name], expected, atol=1e-9, rtol=0)


@settings(max_examples=40, deadline=None)
@given(games(names=("a", "b", "c")), st.floats(-5, 5))
def test_a_dummy_is_worth_what_it_has_and_twins_the_same(table, own):
    def game(coalition):
        """d brings ``own`` whoever is there; a and b are exchangeable."""
        pair = {"a", "b"} & coalition
        third = {"c"} & coalition
        twins = [table[frozenset(third | ({one} if len(pair) == 1 else pair))] for one in "ab"]
        return sum(twins) / 2 + own * ("d" in coalition)

    found = shapley(NAMES, game).values
    torch.testing.assert_close(
        found["d"], torch.full((3,), own, dtype=torch.float64), atol=1e-9, rtol=0
    )
    torch.testing.assert_close(found["a"], found["b"], atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(games())
def test_it_is_the_mean_over_all_orders(table):
    by_order = dict.fromkeys(NAMES, 0.0)
    for order in itertools.permutations(NAMES):
        for k, name in enumerate(order):
            before = frozenset(order[:k])
            by_order[name] += (table[before | {name}] - table[before]) / math.factorial(4)
    found = shapley(NAMES, table.__getitem__).values
    for name in NAMES:
        torch.testing.assert_close(found[name], by_order[name], atol=1e-9, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["copy", "parity"]),
            st.sets(st.sampled_from(["text", "image", "audio"]), min_size=1),
            st.floats(0, 0.4),
        ),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([0.0, 0.3]),
)
def test_on_a_known_catalogue_it_is_the_closed_form(drawn, missing):
    atoms = [
        {"kind": "copy" if len(over) == 1 else kind, "over": sorted(over), "flip": flip}
        | {"name": str(k)}
        for k, (kind, over, flip) in enumerate(drawn)
    ]
    truth = _truth(atoms, missing)
    found = shapley(
        truth.modalities, lambda s: torch.tensor(truth.coalition_value(s), dtype=torch.float64)
    )
    for name, bits in truth.shapley().items():
        assert found.values[name].item() == pytest.approx(bits, abs=1e-9)
    assert sum(x.item() for x in found.values.values()) == pytest.approx(
        truth.coalition_value(truth.modalities), abs=1e-9
    )
    if not missing:  # an atom's bits split evenly over its modalities
        split = dict.fromkeys(truth.modalities, 0.0)
        for atom in truth.atoms:
            for name in atom.over:
                split[name] += atom.bits / len(atom.over)
        assert {n: x.item() for n, x in found.values.items()} == pytest.approx(split, abs=1e-9)


def _truth(atoms, missing):
    from fusionlab.data.synthetic.atoms import AtomOptions

    options = [AtomOptions(**atom) for atom in atoms]
    return Synthetic(users=8, items=20, clicks=5, atoms=options, missing=missing).load().truth


def many(players=8, users=5):
    """v(S) = (sum of weights)^2: the value of m is w_m times the sum of all weights."""
    draw = torch.Generator().manual_seed(3)
    weights = torch.rand(players, users, generator=draw, dtype=torch.float64)
    names = [f"m{k}" for k in range(players)]

    def game(coalition):
        inside = torch.tensor([n in coalition for n in names])
        return weights[inside].sum(0).square()

    return names, game, {n: w * weights.sum(0) for n, w in zip(names, weights, strict=True)}


def test_reversed_orders_are_exact_where_players_meet_in_pairs():
    names, game, expected = many()
    found = shapley(names, game, pairs=2)
    for name in names:
        torch.testing.assert_close(found.values[name], expected[name])
        assert found.error[name].max() < 1e-12


def test_sampling_comes_near_and_says_how_near():
    names, square, _ = many(users=400)

    def game(coalition):
        return square(coalition) ** 2

    exact = shapley(names, game, exact=8)
    found = shapley(names, game, pairs=60)
    assert exact.error is None
    total = sum(found.values.values())
    torch.testing.assert_close(total, found.whole - found.nothing)
    for name in names:
        distance = (found.values[name] - exact.values[name]).abs() / found.error[name]
        assert distance.max() < 5
        assert found.error[name].mean() < 0.1 * exact.values[name].mean()
    few = shapley(names, game, pairs=6)
    ratio = few.error["m0"].mean() / found.error["m0"].mean()
    assert 2 < ratio < 5, "errors fall with the root of the pairs"


def test_each_coalition_is_played_once_and_no_value_outlives_the_call():
    """A cache that is kept between models gives one model the values of another."""
    played = []

    def model(scale):
        def game(coalition):
            played.append(coalition)
            return torch.tensor([scale * len(coalition)])

        return game

    first = shapley(NAMES, model(1.0))
    assert len(played) == len(set(played)) == 16
    second = shapley(NAMES, model(3.0))
    assert len(played) == 32
    assert first.values["a"].item() == pytest.approx(1)
    assert second.values["a"].item() == pytest.approx(3)


def test_a_user_is_worth_the_same_alone_as_among_others():
    names, game, _ = many(players=4)
    together = shapley(names, game).values
    alone = shapley(names, lambda s: game(s)[2:3]).values
    groups = shapley(names, lambda s: game(s).mean(0)).values
    for name in names:
        torch.testing.assert_close(alone[name], together[name][2:3])
        torch.testing.assert_close(groups[name], together[name].mean(0))


def test_what_is_no_game_is_refused():
    with pytest.raises(FusionlabError, match="expected names, each once"):
        shapley(["a", "a"], lambda s: torch.zeros(1))
    with pytest.raises(FusionlabError, match="pairs: found 1"):
        shapley(["a"], lambda s: torch.zeros(1), pairs=1)
