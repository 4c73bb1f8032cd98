"""Balanced resampling: Shapley values, copies and draws written out by hand."""

from itertools import combinations, permutations

import pytest
import small_shop
import torch
import torch.nn.functional as F
from toy import BATCHES, ITEMS, NAMES, ByHand, data, descend, gradients, numbers_told, task

from fusionlab.balancing.balanced_resampling import evenly_drawn
from fusionlab.balancing.contract import BALANCERS
from fusionlab.errors import ConfigError

NAME = "balanced_resampling"


def copies(hand, rows, names, strength):
    """By row: what each modality adds on the way to all of them, over all orders of arrival."""
    mask, right, found = hand.features.mask, {}, {}
    for size in range(1, len(names) + 1):
        for some in combinations(names, size):
            best = hand.logits(rows, some)[0].argmax(1)
            right[frozenset(some)] = best == hand.classes[rows]
    for place, row in enumerate(rows.tolist()):
        worth = {frozenset(): 0}
        for some, of_rows in right.items():
            heard = any(mask[name][row, 0] for name in some)
            worth[some] = len(some) * (heard and of_rows[place].item())
        phi = dict.fromkeys(names, 0.0)
        orders = list(permutations(names))
        for order in orders:
            for k, name in enumerate(order):
                before = frozenset(order[:k])
                phi[name] += (worth[before | {name}] - worth[before]) / len(orders)
        found[row] = [
            strength * max(0, 1 - phi[name]) if mask[name][row, 0] else 0.0 for name in names
        ]
    return found


@pytest.mark.parametrize("m", [2, 3])
def test_steps_are_those_of_the_formula(m):
    of, names = task(m, name=NAME, strength=1.5, warmup=0), NAMES[:m]
    of.balancer.draw(torch.Generator())  # the first epoch begins
    known = {row: [0.0] * m for row in range(ITEMS)}
    for rows in (*BATCHES, BATCHES[0]):
        hand = ByHand(of)
        total = hand.loss(rows, names)
        for place, row in enumerate(rows.tolist()):
            for k, name in enumerate(names):
                share = known[row][k] / (1 + sum(known[row]))
                one = hand.logits(rows, [name])[0][place]
                total = total + share * F.cross_entropy(one, hand.classes[row]) / len(rows)
        parameters = dict(of.model.named_parameters())
        expected = torch.autograd.grad(total, [*parameters.values()])
        known |= copies(hand, rows, names, 1.5)
        for (name, found), one in zip(gradients(of, rows).items(), expected, strict=True):
            torch.testing.assert_close(found, one, msg=name)
        torch.testing.assert_close(of.balancer.copies, torch.tensor([*known.values()]))
        means = torch.tensor([known[row] for row in rows.tolist()]).mean(0).tolist()
        told = {f"copies.{name}": mean for name, mean in zip(names, means, strict=True)}
        assert numbers_told(of) == pytest.approx(told)
        descend(of)
    assert len({tuple(one) for one in known.values()}) > 2


def test_two_modalities_are_valued_as_in_the_paper():
    """Copies for a contribution of 1, 1/2, 0 and -1/2: none, one, two and three."""
    of = task(2, name=NAME, strength=2)
    seen = set()
    for seed in range(40):
        with torch.no_grad():
            for p in of.model.parameters():
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
        of.balancer.loss(of.step(torch.tensor([0, 1, 2, 4]), torch.Generator()))
        seen |= {tuple(row) for row in of.balancer.copies[[0, 1, 2, 4]].tolist()}
    # v alone, v together: both right, one right, none right, together wrong, only together right
    assert {(0, 0), (0, 1), (1, 0), (2, 2), (1, 3), (3, 1), (1, 1)} >= seen
    assert seen >= {(0, 0), (0, 1), (1, 0), (2, 2)}


def test_draws_are_even():
    weights = torch.tensor([1.0, 1, 4, 0.5, 3.5], dtype=torch.float64)
    total = torch.zeros(5)
    for seed in range(400):
        drawn = evenly_drawn(weights, torch.Generator().manual_seed(seed))
        assert len(drawn) == 5
        assert (drawn.diff() >= 0).all()
        count = drawn.bincount(minlength=5)
        share = weights / 2  # of 5 draws and a sum of 10
        assert (count >= share.floor()).all()
        assert (count <= share.ceil()).all()
        total += count
    torch.testing.assert_close(total / 400, weights.float() / 2, atol=0.08, rtol=0)
    same = evenly_drawn(torch.ones(7), torch.Generator().manual_seed(1))
    assert same.tolist() == list(range(7))


def epoch(of, generator):
    return torch.cat([batch.clicks for batch in of.batches(generator)])


def test_an_epoch_of_clicks_has_its_size_and_draws_the_needy():
    of = small_shop.task({"name": NAME, "warmup": 1})
    generator = torch.Generator().manual_seed(0)
    plain = small_shop.task({"name": "none"})
    first = epoch(of, generator)
    assert torch.equal(first, epoch(plain, torch.Generator().manual_seed(0)))  # warm-up
    needy = torch.arange(0, len(first), 4)
    of.balancer.copies[needy, 1] = 3
    second = epoch(of, generator)
    assert len(second) == len(first)
    count = second.bincount(minlength=len(first))
    share = len(first) / (len(first) + 3 * len(needy))
    assert set(count[needy].tolist()) <= {int(4 * share), int(4 * share) + 1}
    others = torch.ones(len(first), dtype=torch.bool)
    others[needy] = False
    assert set(count[others].tolist()) == {0, 1}
    for batch in of.batches(generator):  # what is drawn belongs together
        assert torch.equal(of.users[batch.clicks], batch.users)
        assert torch.equal(of.items[batch.clicks], batch.candidates[:, 0])
        clicked = {*zip(of.users.tolist(), of.items.tolist(), strict=True)}
        drawn = zip(batch.users.tolist(), batch.candidates[:, 1].tolist(), strict=True)
        assert not clicked & {*drawn}


def test_an_epoch_of_classes_too():
    of = task(2, name=NAME, warmup=0)
    of.balancer.copies[5, 0] = 12  # as much as all others together, and one
    rows = torch.cat([*of.batches(torch.Generator().manual_seed(3))])
    assert len(rows) == ITEMS
    assert 6 <= (rows == 5).sum() <= 7
    step = of.step(rows, torch.Generator())
    assert torch.equal(step.examples, rows)


def test_a_tie_is_not_right():
    """A user without a view has scores of zero for all."""
    balancer = {"name": NAME, "strength": 2}
    of = small_shop.task(balancer, items=small_shop.features(2, lacking="image"))
    with torch.no_grad():
        of.model.tastes.weight.zero_()
    batch = small_shop.batch(of)
    of.balancer.loss(of.step(batch, torch.Generator()))
    has = of.features.mask["text"][batch.candidates[:, 0], 0]
    found = of.balancer.copies[batch.clicks]
    assert (found[has, 0] == 2).all()
    assert (found[:, 1] == 0).all()
    assert not of.balancer.copies[~torch.isin(torch.arange(len(of.items)), batch.clicks)].any()


def test_pools_are_refused():
    with pytest.raises(ConfigError, match=r"training\.pool: found a number beside .*balanced_res"):
        small_shop.task({"name": NAME}, recommender="hybrid", pool=8)


def test_memory_has_the_size_of_the_run_that_goes_on():
    of, fresh = task(2, name=NAME), BALANCERS.parse(NAME).build(NAMES[:2])
    of.balancer.loss(of.step(BATCHES[0], torch.Generator()))
    fresh.load_state_dict(of.balancer.state_dict())
    assert torch.equal(fresh.copies, of.balancer.copies)
    assert data(2)[0].mask["text"].sum() < ITEMS
