"""What of coalitions a balancer says it trains is what its options let it train."""

import pytest
import torch
from toy import BATCHES, gradients, task

from fusionlab.balancing.contract import BALANCERS, trained_on

NOTHING = [
    {"name": "unimodal_losses", "weight": 0},
    {"name": "inverse_speed", "weight": 0},
    {"name": "fixed_weights", "weight": {}},
    {"name": "fixed_weights", "weight": {"text": 0}},
    {"name": "modality_dropout", "rate": 0},
    {"name": "opm", "q": 0},
    {"name": "pmr", "alpha": 0},
    {"name": "counterfactual_distillation", "weight": 0},
    {"name": "balanced_resampling", "strength": 0, "warmup": 0},
]


@pytest.mark.parametrize("options", NOTHING, ids=str)
def test_what_trains_nothing_says_so_and_leaves_the_joint_gradients(options):
    of, plain = task(2, **options), task(2, name="none")
    if options["name"] == "balanced_resampling":
        of.balancer.draw(torch.Generator())
    found, expected = gradients(of, BATCHES[0]), gradients(plain, BATCHES[0])
    assert of.balancer.trains == ""
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({"name": "unimodal_losses"}, "unimodal losses"),
        ({"name": "inverse_speed"}, "unimodal losses"),
        (
            {"name": "fixed_weights", "weight": {"text": 1, "image": 0.5, "audio": 2}},
            "unimodal losses",
        ),
        ({"name": "fixed_weights", "weight": {"audio": 1}}, "unimodal losses (audio)"),
        (
            {"name": "fixed_weights", "weight": {"audio": 1, "text": 2, "image": 0}},
            "unimodal losses (text, audio)",
        ),
        ({"name": "modality_dropout"}, "dropout"),
        ({"name": "opm"}, "dropout"),
        ({"name": "counterfactual_distillation"}, "distillation"),
        ({"name": "pmr"}, "prototype losses (views, not heads)"),
        ({"name": "ogm_ge"}, ""),
    ],
    ids=str,
)
def test_what_trains_something_names_it(options, trained):
    of = task(3, **options)
    gradients(of, BATCHES[0])
    assert of.balancer.trains == trained


def test_prototypes_pass_by_the_heads_of_classes():
    found = {}
    for name in ("none", "pmr"):
        of = task(2, name=name)
        for rows in BATCHES:
            found[name] = gradients(of, rows)
    for head in ("heads", "bias"):
        torch.testing.assert_close(found["none"][head], found["pmr"][head])
    moved = "fusion.project.text.weight", "fusion.project.image.weight"
    assert any(not torch.allclose(found["none"][n], found["pmr"][n]) for n in moved)


def test_resampling_trains_after_its_warmup():
    of = BALANCERS.parse({"name": "balanced_resampling", "warmup": 1}).build(("text", "image"))
    of.bind(torch.nn.Identity(), 4)
    told = []
    for _ in range(2):
        of.draw(torch.Generator())
        told.append(of.trains)
    assert told == ["", "unimodal losses"]


def test_the_modalities_are_named_where_they_are_not_all():
    assert trained_on("x", ["a", "b"], ["a", "b"]) == "x"
    assert trained_on("x", ["b"], ["a", "b"]) == "x (b)"
    assert trained_on("x", [], ["a", "b"]) == ""
