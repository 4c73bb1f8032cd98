"""LSTM and GRU over frames: each clip as if it were alone, trainable, reproducible."""

import pickle

import pytest
import torch

from fusionlab.encoders.contract import ENCODERS
from tests.encoders.audio.sounds import encoded, noise

VARIANTS = [
    {"cell": cell, "bidirectional": both, "layers": layers}
    for cell in ("lstm", "gru")
    for both, layers in ((False, 1), (True, 2))
]


def build(**options):
    part = ENCODERS.parse({"name": "audio_recurrent", "hidden": 16, **options})
    return part.build().eval()


@pytest.fixture
def samples(clips):
    return [build().prepare(clip) for clip in clips]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pool", ["mean", "last", "tokens"])
def test_each_clip_is_read_as_if_alone(samples, variant, pool):
    encoder = build(pool=pool, stride=10, steps={"seconds": 2}, **variant)
    values, mask = encoder(encoder.collate(samples))
    width = 16 * (1 + variant["bidirectional"])
    assert values.shape[2] == encoder.spec.dim == width
    for sample, value, on in zip(samples, values, mask, strict=True):
        alone, all_on = encoder(encoder.collate([sample]))
        assert all_on.all()
        assert on.sum() == alone.shape[1] <= encoder.spec.tokens
        assert value[on].allclose(alone[0], atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_states_are_torchs_own(samples, variant):
    """Without packing, padding or batch."""
    last, mean = (build(pool=pool, **variant) for pool in ("last", "mean"))
    values, means = (one(one.collate(samples))[0][:, 0] for one in (last, mean))
    for sample, value, average in zip(samples, values, means, strict=True):
        states = last.network(sample["frames"])[0]
        expected = states[-1, :16]
        if variant["bidirectional"]:
            expected = torch.cat([expected, states[0, 16:]])
        assert value.allclose(expected, atol=1e-6)
        assert average.allclose(states.mean(0), atol=1e-6)


def test_padding_is_never_read(samples):
    encoder = build(bidirectional=True)
    batch = encoder.collate(samples)
    expected, _ = encoder(batch)
    for sample, row in zip(samples, batch["frames"], strict=True):
        row[len(sample["frames"]) :] = torch.nan
    assert torch.equal(encoder(batch)[0], expected)


def test_order_of_the_batch_does_not_matter(samples):
    encoder, order = build(), [3, 0, 4, 1, 2]
    values, _ = encoder(encoder.collate(samples))
    permuted, _ = encoder(encoder.collate([samples[k] for k in order]))
    assert permuted.allclose(values[order], atol=1e-6)


def test_gradients_reach_every_weight_and_no_padding(samples):
    encoder = build(bidirectional=True, layers=2).train()
    batch = encoder.collate(samples)
    batch["frames"].requires_grad_()
    encoder(batch)[0].square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())
    for sample, row in zip(samples, batch["frames"].grad, strict=True):
        assert not row[len(sample["frames"]) :].any()


def test_it_learns_to_tell_low_from_high():
    """The frozen part and the trained part are one forward."""
    from tests.encoders.audio.sounds import sine

    encoder = build(pool="last", steps={"seconds": 0.3}, mel={"standardise": False})
    torch.manual_seed(0)
    head = torch.nn.Linear(16, 1)
    files = [encoded(sine(h, 0.2)) for h in (200, 250, 300, 1000, 1500, 2000)]
    batch = encoder.collate([encoder.prepare(file) for file in files])
    labels = torch.tensor([0.0, 0, 0, 1, 1, 1])
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 0.02)
    for _ in range(80):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            head(encoder(batch)[0][:, 0])[:, 0], labels
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1


def test_the_seed_decides_the_weights_and_nothing_else():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, second, other = build(seed=3), build(seed=3), build(seed=4)
    assert torch.equal(torch.rand(1), expected)
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_work_is_counted_in_frames_and_prepare_holds_no_model(samples):
    encoder = build(hidden=512)
    assert [encoder.size(sample) for sample in samples] == [71, 32, 6, 114, 1]
    assert len(pickle.dumps(encoder.prepare)) < 2000
    long = encoder.prepare(encoded(noise(3.0)))
    short = build(steps={"seconds": 0.5}).prepare(encoded(noise(3.0)))
    assert len(long["frames"]) == 301
    assert len(short["frames"]) == 51


def test_its_bands_are_standardised_unless_told_otherwise():
    assert build().prepare.mel.standardise
    assert build(mel={"n_mels": 40}).prepare.mel.standardise
    assert not build(mel={"standardise": False}).prepare.mel.standardise
