"""Signals of single modalities: right by hand, of every run, and without a trace in training."""

from dataclasses import replace

import pytest
import small_shop
import torch
import toy
from test_every_fusion import balancer
from torch.utils._python_dispatch import TorchDispatchMode

from fusionlab.balancing.contract import BALANCERS
from fusionlab.fusion.contract import FUSIONS, specimen
from fusionlab.sections import Runtime
from fusionlab.training.loop import Loop

KINDS = ("ranking", "classes")


CONTENT = {"name": "hybrid", "item_ids": False}
"""A strategy that votes by rank allows no IDs."""


def build(kind, name="none", fusion="sum", **training):
    if kind == "ranking":
        of, size = small_shop.task(balancer(name), specimen(fusion).model_dump(), CONTENT), 45
    else:
        of, size = toy.task(2, fusion, **balancer(name)), 5
    of.model.fusion.fit(of.features)
    of.training = of.training.model_copy(update={"epochs": 2, "batch_size": size, **training})
    return of


def run(of, runtime=None):
    loop = Loop(of, of.training, runtime or Runtime(), seed=3)
    torch.manual_seed(5)
    loop.run()
    return loop


def bits(loop):
    """All that a run is made of: weights, moments, memory of the balancer, both generators."""
    optimizer = loop.optimizer.state_dict()["state"].values()
    return [
        *loop.task.model.state_dict().values(),
        *loop.task.balancer.state_dict().values(),
        *(tensor for state in optimizer for tensor in state.values()),
        loop.generator.get_state(),
        torch.get_rng_state(),
    ]


def assert_no_trace(kind, **options):
    """The same bits without signals, with those of each step and of some."""
    without, *others = (
        bits(run(build(kind, modality_dropout=0.3, signals_every=n, **options))) for n in (0, 1, 25)
    )
    assert len(without) > 2
    for other in others:
        for one, two in zip(without, other, strict=True):
            assert torch.equal(one, two)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fusion", FUSIONS.names())
def test_no_bit_of_training_moves_with_any_fusion(kind, fusion):
    assert_no_trace(kind, fusion=fusion)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BALANCERS.names())
def test_no_bit_of_training_moves_with_any_balancer(kind, name):
    assert_no_trace(kind, name=name)


def test_no_bit_of_training_moves_in_pools():
    pooled = [
        run(small_shop.task("none", signals_every=n, pool=8, epochs=3, batch_size=9))
        for n in (0, 1)
    ]
    assert {"loss.text", "speed.image"} <= pooled[1].progress.history[-1].keys()
    for one, two in zip(*map(bits, pooled), strict=True):
        assert torch.equal(one, two)


def test_they_are_what_a_hand_finds():
    of = toy.task(3, name="none")
    loop, hand, rows = Loop(of, of.training, Runtime(), seed=0), toy.ByHand(of), toy.BATCHES
    norms = dict.fromkeys(toy.NAMES, 0.0)
    for number, some in enumerate(rows):
        step = of.step(some, torch.Generator())
        of.model.zero_grad(set_to_none=True)
        of.balancer.backward(step)
        loop.signals.hear(step, number * 25)
        for name in toy.NAMES:
            mine = torch.cat([p.grad.flatten() for p in toy.own(of, name).values()])
            norms[name] += mine.norm().item() / len(rows)
    found = loop.signals.of_the_epoch([{"loss.text": 2.0, "loss.image": 0.0}])
    every = torch.cat(rows)
    for name in toy.NAMES:
        assert found[f"loss.{name}"] == pytest.approx(hand.loss(every, [name]).item())
        assert found[f"certainty.{name}"] == pytest.approx(hand.certainty(every, [name]))
        assert found[f"gradient.{name}"] == pytest.approx(norms[name])
    assert found["speed.text"] == pytest.approx(1 - found["loss.text"] / 2)
    assert not {"speed.image", "speed.audio"} & found.keys()  # nothing fell from nothing
    assert loop.signals.of_the_epoch() == {}


@pytest.mark.parametrize("kind", KINDS)
def test_speed_is_the_relative_fall_from_epoch_to_epoch(kind):
    first, second = run(build(kind)).progress.history
    assert {f"{k}.{m}" for k in ("loss", "certainty", "gradient") for m in ("text", "image")} < {
        *first
    }
    assert not any(key.startswith("speed.") for key in first)
    for name in ("text", "image"):
        before, now = first[f"loss.{name}"], second[f"loss.{name}"]
        assert second[f"speed.{name}"] == pytest.approx((before - now) / before)


def test_they_are_read_in_the_first_step_and_every_nth_in_evaluation_mode():
    of = build("ranking", signals_every=3, batch_size=9)
    steps, modes = [], []
    ordinary, forward = of.step, of.model.fusion.forward

    def step(batch, generator):
        steps.append([])
        return ordinary(batch, generator)

    def fuse(items):
        modes.append((of.model.training, of.model.fusion.training, torch.is_grad_enabled()))
        steps[-1].append(modes[-1])
        return forward(items)

    of.step, of.model.fusion.forward = step, fuse
    loop = Loop(of, of.training, Runtime(), seed=0)
    loop.train_epoch()
    joint, aside = (True, True, True), (False, False, False)
    assert len(steps) > 4
    for number, seen in enumerate(steps):
        assert seen == [joint, aside] if number % 3 == 0 else seen == [joint]
    assert all(module.training for module in of.model.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_read_alike_whatever_the_balancer_hears(kind):
    found = {}
    for name in ("none", "unimodal_losses", "opm", "agm"):
        of = build(kind, name, batch_size=4096, epochs=1)  # one step, of the weights as drawn
        found[name] = run(of).progress.history[0]
        assert ("heard_loss.text" in found[name]) == (name != "none")
    for key in ("loss.text", "loss.image", "certainty.text", "certainty.image"):
        assert len({entry[key] for entry in found.values()}) == 1


def test_what_is_missing_has_no_signal(monkeypatch):
    lacking = small_shop.task("none", items=small_shop.features(3, lacking="image"), epochs=1)
    entry = run(lacking).progress.history[0]
    assert {"loss.text", "loss.audio"} <= entry.keys()
    assert "loss.image" not in entry
    alone = run(small_shop.task("none", items=small_shop.features(1), epochs=1))
    assert not [key for key in alone.progress.history[0] if "." in key]
    bare = small_shop.task("none", epochs=1)
    own = bare.model.fusion.modality_parameters
    monkeypatch.setattr(
        bare.model.fusion, "modality_parameters", lambda m: own(m) if m == "text" else iter(())
    )
    entry = run(bare).progress.history[0]
    assert "gradient.text" in entry
    assert "gradient.image" not in entry
    assert "loss.image" in entry


class Stays(TorchDispatchMode):
    """Refuses that a number leaves the device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_nothing_leaves_the_device_before_the_end_of_the_epoch():
    of = build("ranking")
    loop = Loop(of, of.training, Runtime(), seed=0)
    step = of.step(small_shop.batch(of), torch.Generator())
    of.balancer.backward(step)
    said = step.listen(of.balancer.alone)  # what a strategy itself reads is its own affair
    with Stays():
        loop.signals.hear(replace(step, listen=lambda _: said), 0)
    assert "loss.text" in loop.signals.of_the_epoch()


def test_a_compiled_fusion_is_compiled_no_further():
    graphs, found = {}, {}
    for every in (0, 1):
        torch.compiler.reset()
        of = build("ranking", signals_every=every)

        def backend(graph, _, every=every):
            graphs[every] = graphs.get(every, 0) + 1
            return graph.forward

        of.model.fusion.compile(backend=backend)
        loop = Loop(of, of.training, Runtime(compile=True), seed=3)
        for _ in range(2):
            loop.train_epoch()
        found[every] = of.model.state_dict().values()
        assert bool(loop.signals.of_the_epoch()) == bool(every)
    assert graphs[0] == graphs[1] > 0
    for one, two in zip(found[0], found[1], strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["greedy_freeze", "opm", "ogm_ge", "inverse_speed"])
def test_what_a_balancer_does_is_a_mean_over_the_steps(name):
    of = toy.task(2, **({"name": name} | ({"threshold": 0.05} if name == "greedy_freeze" else {})))
    loop, steps = Loop(of, of.training, Runtime(), seed=0), []
    loop.optimizer = torch.optim.SGD(of.model.parameters(), lr=0.5)
    loop.signals.every = 0  # what is told is heard in each step all the same
    for number, rows in enumerate(toy.BATCHES * 4):
        step = of.step(rows, torch.Generator())
        loop.optimizer.zero_grad()
        of.balancer.backward(step)
        with Stays():
            loop.signals.hear(step, number + 1)  # what is read aside is another matter
        of.balancer.update(step, loop.optimizer.step)
        steps.append(toy.numbers_told(of))
    found = loop.signals.of_the_epoch()
    assert any(one != steps[-1] for one in steps)
    for key in steps[-1]:
        assert found[key] == pytest.approx(sum(one[key] for one in steps) / len(steps)), key
    if name == "greedy_freeze":
        assert 0 < found["rest.text"] + found["rest.image"] < 1


def test_what_was_not_yet_to_be_told_is_left_out_of_the_mean():
    of = toy.task(2, name="greedy_freeze", threshold=50)
    signals, rows = Loop(of, of.training, Runtime(), seed=0).signals, (3, 5)  # of 3 no text
    for row in rows:
        step = of.step(torch.tensor([row]), torch.Generator())
        of.balancer.backward(step)
        signals.hear(step, 0)
        if row == 3:
            assert "log_v.text" not in toy.numbers_told(of)
    found = signals.of_the_epoch()
    assert found["log_v.text"] == pytest.approx(toy.numbers_told(of)["log_v.text"])
    assert found["rest.text"] == 0
