"""The generator as a dataset: clicks, ceilings, splits, identity and what it refuses."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.dataset import DATASETS
from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.synthetic import AtomOptions
from fusionlab.data.synthetic.generate import draw_clicks
from fusionlab.errors import ConfigError, FusionlabError
from fusionlab.seal import Openings

SMALL = {"users": 30, "items": 60, "clicks": 20}


def ndcg(scores, train, test, k=20):
    """NDCG@k over all items, train items masked, ideal over min(|pos|, k); numpy alone."""
    scores = scores.numpy().copy()
    scores[train.users.numpy(), train.items.numpy()] = -np.inf
    relevant = np.zeros(scores.shape, dtype=bool)
    relevant[test.users.numpy(), test.items.numpy()] = True
    top = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    gain = np.take_along_axis(relevant, top, axis=1) @ discount
    ideal = np.cumsum(discount)[np.minimum(relevant.sum(1), k) - 1]
    return (gain / ideal).mean()


def test_the_standard_catalogue_has_the_known_ceilings():
    data = DATASETS.parse("synthetic").build().load()
    train = data.interactions.train
    test = data.interactions.test.open(Openings(), "test of the generator")
    assert (len(train), len(data.interactions.valid), len(test)) == (144_000, 18_000, 18_000)
    users = torch.arange(3000)
    oracle = ndcg(data.truth.utility(users), train, test)
    additive = ndcg(data.truth.additive_utility(users), train, test)
    popular = ndcg(train.popularity.float().expand(3000, -1), train, test)
    single = ndcg(data.truth.coalition_utility(users, ["text"]), train, test)
    assert oracle == pytest.approx(0.249, abs=0.015)
    assert additive == pytest.approx(0.130, abs=0.015)
    assert 0.01 < popular < 0.03 < single < additive


def test_clicks_are_successive_draws_from_the_softmax():
    """The set of two draws out of five, against the exact probability, over many users."""
    truth = Synthetic(users=1, items=5, clicks=5, popularity=1.0).load().truth
    n = 40_000
    many = type(truth)(
        **{f: getattr(truth, f) for f in truth.__dataclass_fields__ if f != "tastes"},
        tastes=truth.tastes.expand(n, -1, -1),
    )
    users, items, _ = draw_clicks(many, 2, seed=3)
    assert np.array_equal(users, np.repeat(np.arange(n), 2))
    p = torch.softmax(truth.utility(torch.tensor([0]))[0].double() / truth.tau, 0).numpy()
    pairs = items.reshape(n, 2)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    for i, j in itertools.combinations(range(5), 2):
        want = p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j])
        seen = (pairs == (i, j)).all(1).mean()
        assert seen == pytest.approx(want, abs=5 * np.sqrt(want * (1 - want) / n) + 1e-4)


def test_clicks_do_not_depend_on_the_block(monkeypatch):
    truth = Synthetic(**SMALL).load().truth
    whole = draw_clicks(truth, 20, seed=0)[1]
    monkeypatch.setattr("fusionlab.data.synthetic.generate.BLOCK", 60 * 7)
    assert np.array_equal(whole, draw_clicks(truth, 20, seed=0)[1])


def clicks_of(data):
    test = data.interactions.test.open(Openings(), "test of the generator")
    parts = [data.interactions.train, data.interactions.valid, test]
    return [tensor for part in parts for tensor in (part.indptr, part.items)]


@pytest.mark.parametrize(
    "options",
    [
        {"noise": 0.1},
        {"difficulty": {"text": 3}},
        {"missing": 0.5},
        {"dim": 24, "nuisance": 2},
        {"scale": {"audio": 10.0}},
        {"tokens": 3},
        {"features": "atoms"},
        {"features": "additive_atoms"},
    ],
)
def test_what_the_features_look_like_moves_no_click_code_or_label(options):
    plain, other = (
        Synthetic(**SMALL, flip=0.1).load(),
        Synthetic(**SMALL, flip=0.1, **options).load(),
    )
    assert all(map(torch.equal, clicks_of(plain), clicks_of(other)))
    assert torch.equal(plain.truth.observed, other.truth.observed)
    assert all(torch.equal(plain.truth.codes[m], other.truth.codes[m]) for m in plain.truth.codes)
    assert plain.fingerprint != other.fingerprint


def test_one_modality_s_difficulty_leaves_the_others_features_alone():
    plain = Synthetic(**SMALL).load().features
    other = Synthetic(**SMALL, difficulty={"text": 3}, missing={"text": 0.5}).load().features
    assert torch.equal(plain.values["image"], other.values["image"])
    assert not torch.equal(plain.values["text"], other.values["text"])


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_same_options_same_fingerprint_and_another_seed_another(seed):
    first, again = (Synthetic(**SMALL, seed=seed).load() for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert all(map(torch.equal, clicks_of(first), clicks_of(again)))
    assert first.fingerprint != Synthetic(**SMALL, seed=seed + 1).load().fingerprint


def test_the_fingerprint_covers_split_and_task():
    prints = {
        Synthetic(**SMALL, **options).load().fingerprint
        for options in (
            {},
            {
                "split": DATASETS.parse(
                    {"name": "synthetic", "split": {"name": "ratio", "seed": 9}}
                )
                .build()
                .split
            },
            {"task": "classification"},
            {"task": "classification", "classes": 2},
        )
    }
    assert len(prints) == 4


def test_missing_items_stay_in_the_catalogue_behind_a_false_mask():
    data = Synthetic(users=2, items=4000, clicks=10, missing={"text": 0.3, "audio": 1.0}).load()
    features = data.features
    assert len(features) == 4000
    assert features.present("text").double().mean() == pytest.approx(0.7, abs=0.03)
    assert not features.present("audio").any()
    assert features.present("image").all()
    for column, name in enumerate(features.values):
        assert torch.equal(features.present(name), data.truth.present[:, column])
    assert features.values["text"][~features.present("text")].isnan().all()


def test_a_higher_missing_rate_hides_more_of_the_same_items():
    few, many = (Synthetic(**SMALL, missing=rate).load().truth.present for rate in (0.2, 0.6))
    assert (few | ~many).all()
    assert few.sum() > many.sum()


def test_the_ceilings_are_one_hot_labels_in_one_modality():
    data = Synthetic(**SMALL, alphabet=3, flip=0.2, missing=0.5, features="atoms").load()
    assert list(data.features.values) == ["atoms"]
    rows = data.features.values["atoms"].view(60, 5, 3)
    assert torch.equal(rows.argmax(-1), data.truth.observed)
    assert (rows.sum(-1) == 1).all()
    assert data.features.mask["atoms"].all()
    additive = Synthetic(**SMALL, alphabet=3, flip=0.2, features="additive_atoms").load()
    assert torch.equal(additive.features.values["atoms"].view(60, 4, 3), rows[:, :4])


@pytest.mark.parametrize("modalities", [("a", "b"), ("a", "b", "c", "d")])
def test_any_number_of_modalities(modalities):
    data = Synthetic(**SMALL, modalities=modalities).load()
    assert tuple(data.features.values) == modalities
    assert data.truth.coalition_value(modalities) == pytest.approx(len(modalities) + 2)
    assert data.truth.coalition_value(modalities[:-1]) == pytest.approx(len(modalities))


def test_weights_of_zero_leave_atoms_out_and_mappings_keep_defaults():
    generator = Synthetic(redundancy=0, synergy=0, uniqueness={"text": 0, "audio": 2.0})
    assert [(atom.name, atom.weight) for atom in generator.atoms] == [
        ("unique_image", 1.0),
        ("unique_audio", 2.0),
    ]


def test_the_configuration_takes_atoms_and_a_nested_split():
    part = DATASETS.parse(
        {
            "name": "synthetic",
            **SMALL,
            "modalities": ["text", "image"],
            "atoms": [
                {"kind": "parity", "over": ["text", "image"], "weight": 2, "flip": 0.1},
                {"kind": "copy", "over": ["image"], "name": "look"},
            ],
            "noise": {"text": 0.2},
            "split": {"name": "ratio", "valid": 0.25, "test": 0.25},
        }
    )
    data = part.build().load()
    assert [atom.name for atom in data.truth.atoms] == ["parity_text_image", "look"]
    assert [atom.flip for atom in data.truth.atoms] == [0.1, 0.0]
    assert len(data.interactions.valid) == 30 * 5
    again = DATASETS.parse(part.model_dump()).build().load()
    assert again.fingerprint == data.fingerprint
    assert DATASETS.schema("synthetic").model_json_schema()["properties"]["tau"]["default"] == 0.35


def test_every_option_has_a_note():
    fields = DATASETS.schema("synthetic").model_fields
    assert all(field.description for field in fields.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -1}, "noise"),
        ({"nois": 1}, "did you mean 'noise'"),
        ({"features": "atom"}, "did you mean 'atoms'"),
        ({"atoms": [{"kind": "copi", "over": ["text"]}]}, "atoms.*kind.*did you mean 'copy'"),
        ({"atoms": [{"kind": "copy", "over": ["text"], "wieght": 2}]}, "did you mean 'weight'"),
        ({"atoms": [{"kind": "copy", "over": ["text"], "weight": 0}]}, "atoms.*weight"),
    ],
)
def test_the_schema_refuses_wrong_options(options, message):
    with pytest.raises(ConfigError, match=message):
        DATASETS.parse({"name": "synthetic", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clicks": 801}, "clicks: found 801 a user, expected at most 800 items"),
        ({"noise": {"txet": 1.0}}, "noise: .*did you mean 'text'"),
        ({"modalities": ("a", "a")}, "modalities: found 'a'"),
        ({"modalities": ("a.b", "c")}, "modalities: found 'a.b'"),
        ({"modalities": ("a",)}, "synergy: found 1.5 with one modality"),
        ({"redundancy": 0, "uniqueness": 0, "synergy": 0}, "atoms: found none"),
        ({"flip": 0.6}, "flip: found 0.6, expected at most"),
        (
            {"atoms": [AtomOptions(kind="parity", over=("text",))]},
            r"atoms\.0\.over.*two modalities",
        ),
        ({"atoms": [AtomOptions(kind="copy", over=("txt",))]}, r"atoms\.0\.over.*'text'"),
        ({"atoms": [AtomOptions(kind="copy", over=("text", "text"))]}, "each modality once"),
        ({"atoms": [AtomOptions(kind="copy", over=("text",))] * 2}, "2 atoms named 'copy_text'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(FusionlabError, match=message):
        Synthetic(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classification", "alphabet": 6}, "expected at most 4096"),
        ({"task": "classification", "classes": 40}, "classes: found 40, expected at most 32"),
        ({"task": "classification", "items": 3}, "split: found no item in valid"),
        (
            {
                "features": "additive_atoms",
                "atoms": [AtomOptions(kind="parity", over=("text", "image"))],
            },
            "every atom is a parity",
        ),
    ],
)
def test_catalogues_that_cannot_be_drawn_are_refused(options, message):
    with pytest.raises(FusionlabError, match=message):
        Synthetic(**{"users": 2, "clicks": 3, **options}).load()


def test_catalogues_of_one_world_write_the_same_codes_alike():
    """Noise apart, whatever the items, users and clicks; without ``world`` it is the seed."""

    def drawn(**options):
        return Synthetic(**SMALL, **options)

    exact = {"noise": 0.0, "nuisance": 0, "uniqueness": 0.0, "synergy": 0.0}
    first, second = (drawn(**exact, seed=seed, world=5).load() for seed in (1, 2))
    codes = [data.truth.codes["text"].flatten() for data in (first, second)]
    assert not torch.equal(*codes)
    written = [
        [data.features.values["text"][code == letter].unique(dim=0) for letter in (0, 1)]
        for data, code in zip((first, second), codes, strict=True)
    ]
    for one, other in zip(*written, strict=True):
        assert len(one) == 1
        assert torch.equal(one, other)
    assert not torch.equal(written[0][0], written[0][1])
    elsewhere = drawn(**exact, seed=1, world=6).load()
    assert torch.equal(elsewhere.truth.codes["text"], first.truth.codes["text"])
    assert not torch.equal(elsewhere.features.values["text"], first.features.values["text"])
    assert torch.equal(elsewhere.interactions.train.items, first.interactions.train.items)
    own = drawn(seed=3).load().fingerprint
    assert own == drawn(seed=3, world=3).load().fingerprint
    assert own != drawn(seed=3, world=0).load().fingerprint
