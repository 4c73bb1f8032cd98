"""What a balancer learns of epochs: losses by coalition, from items that the loss never saw."""

import pytest
import small_shop
import torch
import torch.nn.functional as F
import toy

from fusionlab.balancing.contract import Balancer, Coalition
from fusionlab.recommenders.step import ItemViews
from fusionlab.sections import Runtime
from fusionlab.training.loop import Loop


class Listener(Balancer):
    """It changes nothing, and remembers."""

    validates = True

    def __init__(self, modalities, hears=()):
        super().__init__(modalities)
        self.hears, self.epochs = hears, []

    @property
    def coalitions(self):
        return self.hears

    def after_epoch(self, epoch):
        self.epochs.append(epoch)


def test_validation_items_speak_for_each_coalition_they_belong_to():
    of = toy.task(3, name="none")
    hand, every = toy.ByHand(of), torch.arange(toy.ITEMS)
    for names in (["text"], ["image", "audio"], toy.NAMES):
        coalition = frozenset(names)
        found = of.validation_losses([coalition])[coalition]
        assert found == pytest.approx(hand.loss(every, names).item())


def test_a_coalition_that_no_validation_item_has_costs_nothing():
    of = toy.task(2, name="none")
    of.labels.valid.items.copy_(torch.full((toy.ITEMS,), toy.MASKED["text"]))
    assert of.validation_losses([frozenset({"text"})]) == {frozenset({"text"}): 0}


@pytest.mark.parametrize("recommender", ["content", "hybrid"])
def test_validation_clicks_stand_beside_items_that_the_user_never_clicked(recommender):
    of = small_shop.task("none", recommender=recommender, negatives=3)
    clicks, items = of.interactions, of.features
    known = {u: set() for u in range(small_shop.USERS)}
    for split in (clicks.train, clicks.valid):
        for user, item in zip(split.users.tolist(), split.items.tolist(), strict=True):
            known[user].add(item)
    (batch,) = of.held_out.batches()
    assert small_shop.GREEDY in clicks.valid.users
    kept = clicks.valid.users != small_shop.GREEDY  # nothing is left to be drawn for this one
    assert torch.equal(batch.users, clicks.valid.users[kept])
    assert torch.equal(batch.candidates[:, 0], clicks.valid.items[kept])
    for user, row in zip(batch.users.tolist(), batch.candidates[:, 1:].tolist(), strict=True):
        assert not known[user] & set(row)

    of.model.eval()
    for names in (["text"], ["image"], ["text", "image"]):
        coalition = frozenset(names)
        fused = of.model.fusion(items.only(names))
        query = of.model.user_views(batch.users, ItemViews(fused.views, fused.present))
        scores = (query[:, 0, None] * fused.views[batch.candidates][:, :, 0]).sum(-1)
        losses = F.softplus(scores[:, 1:] - scores[:, :1]).mean(1)
        there = torch.stack([items.present(name) for name in names]).any(0)
        expected = losses[there[batch.candidates[:, 0]]].mean().item()
        assert of.validation_losses([coalition])[coalition] == pytest.approx(expected, rel=1e-5)


def run(of, balancer, **training):
    of.balancer = balancer
    options = of.training.model_copy(update={"epochs": 4, **training})
    loop = Loop(of, options, Runtime(), seed=3)
    torch.manual_seed(5)
    return loop, loop.run()


def build(kind):
    return small_shop.task("none") if kind == "ranking" else toy.task(2, name="none")


@pytest.mark.parametrize("kind", ["ranking", "classes"])
def test_listening_changes_no_bit_of_the_training(kind):
    plain, heard = build(kind), build(kind)
    names = heard.features.modalities
    loop, _ = run(plain, Balancer(names), modality_dropout=0.3)
    other, _ = run(heard, Listener(names), modality_dropout=0.3)
    assert len(heard.balancer.epochs) == 4
    for one, two in zip(plain.model.parameters(), heard.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert torch.equal(loop.generator.get_state(), other.generator.get_state())


@pytest.mark.parametrize("kind", ["ranking", "classes"])
def test_the_loop_tells_of_each_validation(kind):
    of = build(kind)
    names = of.features.modalities
    alone: list[Coalition] = [frozenset({name}) for name in names]
    listener = Listener(names, (frozenset(names), alone[0]))
    _, progress = run(of, listener, epochs=5, validate_every=2)
    assert [epoch.number for epoch in listener.epochs] == [2, 4, 5]
    for epoch in listener.epochs:
        entry = progress.history[epoch.number - 1]
        assert epoch.valid.keys() == {*alone, frozenset(names)}
        assert epoch.train.keys() == {alone[0], frozenset(names)}
        assert epoch.train[alone[0]] == entry["heard_loss.text"]
        assert epoch.valid[frozenset(names)] == entry["valid_loss.text+image"]


def test_train_losses_are_means_over_the_examples_that_count():
    of = toy.task(2, name="unimodal_losses")
    loop, hand = Loop(of, of.training, Runtime(), seed=0), toy.ByHand(of)
    rows = torch.tensor([0, 3]), torch.tensor([1, 2, 4, 5])  # 3 has no text
    for number, some in enumerate(rows):
        loop.signals.hear(of.step(some, torch.Generator()), number)
    expected = hand.loss(torch.cat(rows), ["text"]).item()
    assert loop.signals.of_the_epoch()["heard_loss.text"] == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["ranking", "classes"])
def test_only_the_joint_pass_reads_what_the_balancer_makes_of_items(kind):
    class Blind(Listener):
        def inputs(self, items, generator):
            return items.only([])

    of = build(kind)
    names = of.features.modalities
    losses = {}
    for cls in (Listener, Blind):
        of.balancer = cls(names, (frozenset(names),))
        generator = torch.Generator().manual_seed(0)
        step = of.step(next(iter(of.batches(generator))), generator)
        losses[cls] = step.joint.item(), step.loss(frozenset(names)).item()
    assert losses[Listener][0] != pytest.approx(losses[Blind][0])
    assert losses[Listener][1] == losses[Blind][1]
