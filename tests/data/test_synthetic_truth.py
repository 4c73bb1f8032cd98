"""The closed forms against brute force: enumeration of every source, permutation and label."""

import itertools
import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.synthetic import AtomOptions, Truth
from fusionlab.data.synthetic.atoms import channel, channel_bits
from fusionlab.errors import FusionlabError

NAMES = ("text", "image", "audio")


def subsets(names):
    return [s for n in range(len(names) + 1) for s in itertools.combinations(names, n)]


def outcomes(truth: Truth):
    """Every (probability, codes by modality, labels) of one item with all modalities.

    Written from the definition alone: uniform sources and shares, then flips, enumerated.
    """
    k = truth.alphabet
    per_atom = []
    for atom in truth.atoms:
        rows = []
        n_sources = len(atom.over) if atom.kind == "parity" else 1
        for sources in itertools.product(range(k), repeat=n_sources):
            parts = sources if atom.kind == "parity" else sources * len(atom.over)
            for noise in range(k):
                p = 1 - atom.flip if noise == 0 else atom.flip / (k - 1)
                if p > 0:
                    held = dict(zip(atom.over, parts, strict=True))
                    label = (sum(sources) + noise) % k
                    rows.append((p / k**n_sources, held, label))
        per_atom.append(rows)
    for combination in itertools.product(*per_atom):
        probability = math.prod(row[0] for row in combination)
        codes = {
            m: tuple(held[m] for _, held, _ in combination if m in held) for m in truth.modalities
        }
        yield probability, codes, tuple(label for _, _, label in combination)


def mutual_information(truth: Truth, modalities):
    """The information in bits, as what a value computed in another order may be compared with.

    Each probability is a sum of at most N positive terms, so it is off by (N - 1) u of itself at
    most, u = 2^-53 (Higham 2002, Accuracy and stability of numerical algorithms, ch. 4). Three of
    them stand under each logarithm, which makes a share of itself an absolute 1 / ln 2 bits, and
    the weights p sum to 1. The rest, a few dozen roundings of at most 15 bits, is in the 100.
    """
    joint: dict = defaultdict(float)
    left: dict = defaultdict(float)
    right: dict = defaultdict(float)
    terms = 0
    for p, codes, labels in outcomes(truth):
        shown = tuple(codes[m] for m in modalities)
        joint[shown, labels] += p
        left[shown] += p
        right[labels] += p
        terms += 1
    bits = math.fsum(p * math.log2(p / (left[s] * right[y])) for (s, y), p in joint.items())
    return pytest.approx(bits, rel=0, abs=(3 * terms + 100) * 2**-53 / math.log(2))


def truth_of(**options) -> Truth:
    defaults = {"users": 4, "items": 40, "clicks": 10}
    return Synthetic(**{**defaults, **options}).load().truth


@pytest.mark.parametrize("flip", [0.0, 0.11])
def test_bits_of_every_coalition_are_the_mutual_information_of_the_binary_catalogue(flip):
    truth = truth_of(flip=flip)
    bits = 1 + sum(p * math.log2(p) for p in (flip, 1 - flip) if p > 0)
    assert all(atom.bits == pytest.approx(bits, abs=1e-15) for atom in truth.atoms)
    for coalition in subsets(NAMES):
        assert truth.coalition_value(coalition) == mutual_information(truth, coalition)
    assert truth.coalition_value(NAMES) == pytest.approx(5 * bits, abs=1e-12)


@st.composite
def atom_sets(draw):
    k = draw(st.integers(2, 3))
    atoms = []
    for index in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["copy", "parity"]))
        least = 2 if kind == "parity" else 1
        over = draw(st.lists(st.sampled_from(NAMES), min_size=least, max_size=3, unique=True))
        flip = draw(st.sampled_from([0.0, 0.05, 0.3, 0.5]))
        atoms.append(AtomOptions(kind=kind, over=tuple(over), flip=flip, name=f"a{index}"))
    return k, atoms


@settings(max_examples=15, deadline=None)
@given(atom_sets())
def test_bits_are_the_mutual_information_for_any_atoms_and_alphabet(case):
    k, atoms = case
    truth = truth_of(alphabet=k, atoms=atoms)
    for coalition in subsets(NAMES):
        assert truth.coalition_value(coalition) == mutual_information(truth, coalition)


@settings(max_examples=25, deadline=None)
@given(atom_sets(), st.sampled_from([0.0, 0.4]))
def test_shapley_is_the_mean_over_permutations_and_sums_to_the_whole(case, missing):
    k, atoms = case
    truth = truth_of(alphabet=k, atoms=atoms, missing=missing)
    brute = dict.fromkeys(NAMES, 0.0)
    for order in itertools.permutations(NAMES):
        for position, name in enumerate(order):
            gain = truth.coalition_value(order[: position + 1]) - truth.coalition_value(
                order[:position]
            )
            brute[name] += gain / math.factorial(len(NAMES))
    value = truth.shapley()
    assert value == pytest.approx(brute, abs=1e-9)
    assert sum(value.values()) == pytest.approx(truth.coalition_value(NAMES), abs=1e-9)


def test_missing_modalities_lower_the_value_to_the_mean_over_items():
    truth = truth_of(items=20_000, missing={"text": 0.5, "image": 0.2}, flip=0.1)
    e = truth.atoms[0].bits
    redundant, text, image, audio, synergy = 1.0, 0.5, 0.8, 1.0, 0.5 * 0.8
    want = e * (redundant + text + image + audio + synergy)
    assert truth.coalition_value(NAMES) == pytest.approx(want, abs=0.03)
    assert truth.coalition_value(["text"]) == pytest.approx(e * (0.5 + 0.5), abs=0.02)


def test_generated_labels_carry_the_bits_that_are_claimed():
    truth = truth_of(items=60_000, flip=0.1)
    for coalition in [("text",), ("image", "audio"), NAMES]:
        columns = torch.cat([truth.codes[m] for m in coalition], dim=1)
        code = (columns * 2 ** torch.arange(columns.shape[1])).sum(1).numpy()
        total = 0.0
        for label in truth.observed.T.numpy():
            joint = np.zeros((code.max() + 1, 2))
            np.add.at(joint, (code, label), 1 / len(code))
            outer = joint.sum(1, keepdims=True) * joint.sum(0)
            seen = joint > 0
            total += (joint[seen] * np.log2(joint[seen] / outer[seen])).sum()
            bias = (np.count_nonzero(joint.sum(1)) - 1) / (2 * len(code) * math.log(2))
            total -= bias
        assert total == pytest.approx(truth.coalition_value(coalition), abs=0.02)


def test_codes_spell_the_clean_values():
    truth = truth_of(alphabet=3, flip=0.2)
    redundant = truth.clean[:, 0]
    for name in NAMES:
        assert torch.equal(truth.codes[name][:, 0], redundant)
    assert torch.equal(truth.codes["image"][:, 1], truth.clean[:, 2])
    shares = sum(truth.codes[name][:, 2] for name in NAMES)
    assert torch.equal(shares % 3, truth.clean[:, 4])
    assert 0 < (truth.clean != truth.observed).double().mean() < 0.4


def test_coalition_utility_is_the_expectation_over_all_that_is_hidden():
    truth = truth_of(modalities=("a", "b"), flip=0.15, missing=0.3, items=25, alphabet=2)
    users = torch.arange(4)
    weights = torch.tensor([atom.weight for atom in truth.atoms])
    everything = list(outcomes(truth))
    for coalition in subsets(("a", "b")):
        got = truth.coalition_utility(users, coalition)
        for item in range(25):
            shown = [m for m in coalition if truth.present[item, truth.modalities.index(m)].item()]
            code = {m: tuple(truth.codes[m][item].tolist()) for m in shown}
            want, mass = torch.zeros(4), 0.0
            for p, codes, labels in everything:
                if all(codes[m] == code[m] for m in shown):
                    theta = truth.tastes[:, range(len(labels)), labels]
                    want += p * (theta * weights).sum(1)
                    mass += p
            want = want / mass + truth.tau * truth.popularity[item]
            assert torch.allclose(got[:, item], want, atol=1e-5)


def test_utilities_agree_where_nothing_is_hidden():
    truth = truth_of()
    users = torch.tensor([2, 0])
    full = truth.utility(users)
    assert torch.allclose(truth.coalition_utility(users, NAMES), full, atol=1e-6)
    parts = [truth.atom_utility(users, atom.name) for atom in truth.atoms]
    assert torch.allclose(sum(parts) + truth.tau * truth.popularity, full, atol=1e-5)
    additive = truth.additive_utility(users)
    assert torch.allclose(additive + truth.atom_utility(users, "synergy"), full, atol=1e-5)
    nothing = truth.coalition_utility(users, ())
    assert torch.allclose(nothing, (truth.tau * truth.popularity).expand(2, -1), atol=1e-6)
    for pair in itertools.combinations(NAMES, 2):
        assert torch.allclose(
            truth.coalition_utility(users, pair), truth.additive_utility(users, pair), atol=1e-6
        )


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_bayes_accuracy_is_that_of_the_best_decision_for_every_code(missing):
    truth = truth_of(
        modalities=("a", "b"), flip=0.15, classes=3, task="classification", missing=missing
    )
    everything = list(outcomes(truth))

    def best(shown):
        mass: dict = defaultdict(lambda: np.zeros(3))
        for p, codes, labels in everything:
            mass[tuple(codes[m] for m in shown)][truth.class_of[labels]] += p
        return sum(row.max() for row in mass.values())

    for coalition in subsets(("a", "b")):
        per_item = [
            best([m for m, on in zip(("a", "b"), row, strict=True) if on and m in coalition])
            for row in truth.present.tolist()
        ]
        assert truth.bayes_accuracy(coalition) == pytest.approx(np.mean(per_item), abs=1e-12)


def test_no_rule_beats_the_bayes_accuracy_on_drawn_items_and_the_best_one_reaches_it():
    data = Synthetic(items=40_000, flip=0.1, task="classification").load()
    truth = data.truth
    classes = truth.class_of[tuple(truth.observed.T)].numpy()
    counts = np.bincount(classes)
    assert counts.min() / counts.max() > 0.9
    for coalition in [("text",), ("text", "image"), NAMES]:
        columns = torch.cat([truth.codes[m] for m in coalition], dim=1)
        code = (columns * 2 ** torch.arange(columns.shape[1])).sum(1).numpy()
        table = np.zeros((code.max() + 1, 4))
        np.add.at(table, (code[::2], classes[::2]), 1)
        reached = (table.argmax(1)[code[1::2]] == classes[1::2]).mean()
        assert reached == pytest.approx(truth.bayes_accuracy(coalition), abs=0.015)
    order = [truth.bayes_accuracy(s) for s in [(), ("text",), ("text", "image"), NAMES]]
    assert order == sorted(order)
    assert order[0] == pytest.approx(1 / 4)


def test_without_flips_everything_determines_the_class():
    truth = truth_of(task="classification", classes=2)
    assert truth.bayes_accuracy(NAMES) == 1.0


def test_questions_about_unknown_names_or_classes_are_refused():
    truth = truth_of()
    with pytest.raises(FusionlabError, match="did you mean 'audio'"):
        truth.coalition_value(["audoi"])
    with pytest.raises(FusionlabError, match="did you mean 'synergy'"):
        truth.atom_utility(torch.tensor([0]), "synergi")
    with pytest.raises(FusionlabError, match="task: classification"):
        truth.bayes_accuracy(NAMES)


@given(st.integers(2, 6), st.floats(0, 1))
def test_channel_bits_are_the_mutual_information_of_the_channel(k, share):
    flip = share * (1 - 1 / k)
    joint = channel(k, flip) / k
    assert joint.sum() == pytest.approx(1)
    seen = joint > 0
    information = (joint[seen] * np.log2(joint[seen] * k * k)).sum()
    assert channel_bits(k, flip) == pytest.approx(information, abs=1e-12)


def test_the_truth_can_be_edited_for_what_if_questions():
    truth = truth_of()
    blind = replace(truth, present=torch.zeros_like(truth.present))
    assert blind.coalition_value(NAMES) == 0
    assert sum(blind.shapley().values()) == 0
