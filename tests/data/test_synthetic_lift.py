"""Features hold the code, whole and nothing else, however hard it is to read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.synthetic.lift import NEGLIGIBLE, Lift, Writing
from fusionlab.errors import FusionlabError

STANDARD = {"dim": 16, "nuisance": 16, "noise": 0.3, "difficulty": 0, "scale": 1.0, "tokens": 1}


def all_codes(components: int, alphabet: int) -> np.ndarray:
    return np.stack(
        np.meshgrid(*[np.arange(alphabet)] * components, indexing="ij"), axis=-1
    ).reshape(-1, components)


def decoded(lift: Lift, x: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """The nearest centroid, Bayes' choice for equal spheres: over tokens too."""
    components, alphabet, dim = lift.frame.shape
    codes = all_codes(components, alphabet)
    z = lift.invert(np.nan_to_num(x.numpy()))[..., :dim]
    distance = ((z[:, :, None] - lift.signal(codes)) ** 2).sum(-1)
    distance = np.where(mask.numpy()[..., None], distance, np.inf)
    return codes[distance.min(axis=1).argmin(axis=1)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"difficulty": 3},
        {"difficulty": {"image": 8}, "scale": {"text": 0.01, "audio": 50.0}},
        {"tokens": 6, "difficulty": 2},
        {"alphabet": 4, "noise": 0.4, "nuisance": 0},
        {"alphabet": 3, "dim": 24, "difficulty": 4, "noise": {"text": 0.55}},
    ],
)
def test_the_bayes_decoder_reads_every_code_at_every_difficulty(options):
    generator = Synthetic(users=2, items=4000, clicks=10, **options)
    data = generator.load()
    for name, lift in generator.lifts().items():
        assert lift.decode_error() <= NEGLIGIBLE
        read = decoded(lift, data.features.values[name], data.features.mask[name])
        wrong = (read != data.truth.codes[name].numpy()).any(axis=1).mean()
        assert wrong <= 5 / 4000


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(2, 5), st.integers(0, 12), st.integers(0, 50))
def test_codes_are_as_far_apart_as_stated_and_of_one_size(components, alphabet, extra, seed):
    dim = components * (alphabet - 1) + extra
    writing = Writing(**{**STANDARD, "dim": dim, "noise": 0.0})
    lift = Lift.draw(seed, "text", components, alphabet, writing)
    signal = lift.signal(all_codes(components, alphabet)).astype(np.float64)
    assert np.allclose((signal**2).sum(1), dim, rtol=1e-4)
    gaps = np.sqrt(((signal[:, None] - signal[None]) ** 2).sum(-1))
    off = ~np.eye(len(signal), dtype=bool)
    assert gaps[off].min() == pytest.approx(lift.separation, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 9), st.integers(1, 8), st.integers(0, 50))
def test_folds_are_undone_exactly(width, depth, seed):
    writing = Writing(dim=width, nuisance=0, noise=0.0, difficulty=depth, scale=3.0, tokens=1)
    lift = Lift.draw(seed, "text", 1, 2, writing)
    z = np.random.default_rng(seed).standard_normal((50, 2, width))
    exact = in_float64(lift)
    x = folded(exact, z)
    assert np.abs(x - z).max() > 0.1
    assert np.allclose(exact.invert(x * 3), z, atol=1e-6)
    # Features are float32: where folds stretch space most, rounding is stretched with it, but
    # never for many items.
    stored = folded(lift, z.astype(np.float32)) * np.float32(3)
    error = np.abs(lift.invert(stored) - z)
    assert (error > 2e-2).mean() < 0.1
    assert np.median(error) < 2e-3


def in_float64(lift):
    """The same folds with rotations that are orthogonal to the last bit of float64."""
    rotations = [np.linalg.qr(fold.rotation.astype(np.float64))[0] for fold in lift.folds]
    folds = zip(lift.folds, rotations, strict=True)
    return replace(lift, folds=tuple(replace(fold, rotation=q) for fold, q in folds))


def folded(lift, x):
    for fold in lift.folds:
        x = fold.forward(x)
    return x


def test_the_bound_covers_the_error_of_the_decoder():
    writing = Writing(**{**STANDARD, "noise": 0.3})
    lift = Lift.draw(0, "text", 3, 2, writing)
    noisy = Lift(lift.frame, (), Writing(**{**STANDARD, "noise": 2.0}))
    codes = np.random.default_rng(0).integers(0, 2, (20_000, 3))
    values, mask = noisy.write(codes, np.ones(20_000, dtype=bool), 0, "text")
    wrong = (decoded(noisy, values, mask) != codes).any(axis=1).mean()
    assert 0.5 * noisy.decode_error() < wrong <= noisy.decode_error() * 1.05


def test_difficulty_makes_the_code_harder_to_read_for_a_linear_probe():
    from sklearn.linear_model import LogisticRegression

    accuracy = []
    for difficulty in (0, 3, 6):
        data = Synthetic(users=2, items=2500, clicks=10, difficulty=difficulty).load()
        x = data.features.values["text"][:, 0].numpy()
        y = data.truth.codes["text"][:, 0].numpy()
        probe = LogisticRegression(max_iter=300).fit(x[:500], y[:500])
        accuracy.append(probe.score(x[500:], y[500:]))
    assert accuracy[0] > 0.999
    assert 0.98 > accuracy[1] > accuracy[2] + 0.05
    assert accuracy[2] > 0.6


def test_one_random_token_of_those_present_holds_the_code():
    generator = Synthetic(users=2, items=3000, clicks=10, tokens={"text": 5}, noise=0.1)
    data = generator.load()
    values, mask = data.features.values["text"], data.features.mask["text"]
    assert values.shape == (3000, 5, 32)
    assert data.features.values["image"].shape == (3000, 1, 32)
    lengths = mask.sum(1)
    assert torch.bincount(lengths, minlength=6)[1:].min() > 500
    assert torch.equal(mask, torch.arange(5) < lengths[:, None])
    assert values[~mask].isnan().all()
    assert values[mask].isfinite().all()
    signal = torch.from_numpy(generator.lifts()["text"].signal(data.truth.codes["text"].numpy()))
    near = ((values[..., :16] - signal[:, None]) ** 2).sum(-1) < 16 * 0.1**2 * 4
    assert (near.sum(1) == 1).all()
    assert not near[~mask].any()
    assert near[lengths == 5].sum(0).min() > 70


def test_a_modality_without_atoms_is_noise():
    from fusionlab.data.synthetic import AtomOptions

    atoms = [AtomOptions(kind="copy", over=("text",))]
    data = Synthetic(users=2, items=500, clicks=10, atoms=atoms, difficulty=1).load()
    assert data.truth.codes["image"].shape == (500, 0)
    assert data.truth.shapley() == {"text": 1.0, "image": 0.0, "audio": 0.0}
    assert data.features.values["image"].isfinite().all()


def test_a_catalogue_whose_codes_could_not_be_read_is_refused():
    with pytest.raises(
        FusionlabError, match=r"noise: found 2 for 'image'.*expected at most 0.0001"
    ):
        Synthetic(users=2, noise={"image": 2.0}).load()
    with pytest.raises(FusionlabError, match="dim: found 2 for 'text', expected at least 3"):
        Synthetic(users=2, dim=2).load()
    with pytest.raises(FusionlabError, match="difficulty: found 1 for 'text'"):
        Synthetic(users=2, dim=1, nuisance=0, difficulty=1, synergy=0, uniqueness=0).load()
