"""Mixup: another item that has the modality, in shares of a Beta distribution."""

import pytest
import torch
from scipy.stats import beta, kstest

from fusionlab.data.augmentation.contract import AUGMENTATIONS


def mixup(alpha):
    return AUGMENTATIONS.parse({"name": "feature_mixup", "alpha": alpha}).build()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_shares_are_a_beta_towards_the_item(alpha):
    n = 4000
    values = torch.eye(n, dtype=torch.float64)[:, None]  # shares close to 1 stay apart
    mask = torch.arange(n)[:, None] % 4 > 0
    found, _ = mixup(alpha).features(values, mask, torch.Generator().manual_seed(0))
    on = mask[:, 0]
    own = found[on, 0].gather(1, on.nonzero())[:, 0]
    assert (own >= 0.5).all()
    # max(u, 1 - u) has the distribution 2 F - 1 above a half
    assert kstest(own.numpy(), lambda x: 2 * beta.cdf(x, alpha, alpha) - 1).pvalue > 0.01
    assert torch.equal(found[~on], values[~on])
    others = found[on, 0].clone()
    others.scatter_(1, on.nonzero(), 0)
    assert ((others > 0).sum(1) <= 1).all()
    partner = others.argmax(1)[others.any(1)]
    assert on[partner].all()  # never of an item without the modality
    assert partner.unique().numel() == len(partner)
    torch.testing.assert_close(own + others.sum(1), torch.ones_like(own))


def test_tokens_are_mixed_where_both_are():
    values = torch.tensor([[1.0, 2.0], [10.0, torch.nan]])[..., None]
    mask = torch.tensor([[True, True], [True, False]])
    found, on = mixup(1.0).features(values, mask, torch.Generator().manual_seed(0))
    assert on is mask
    assert found[0, 1] == 2  # the other one has no second token
    assert 1 < found[0, 0] < 5.5
    assert 5.5 < found[1, 0] < 10


def test_alone_an_item_stays_itself():
    values = torch.randn(3, 1, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[False], [True], [False]])
    found, _ = mixup(1.0).features(values, mask, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, values)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 2.0])
def test_shares_have_the_moments_of_a_beta(alpha):
    drawn = [mixup(alpha)._shares(40_000, torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].isfinite().all()
    # E(u^2) and E(u^4) of max(u, 1 - u) about a half are those of u: symmetric about it.
    about = drawn[0] - 0.5
    variance, kurtosis = beta(alpha, alpha).stats("vk")
    assert about.square().mean().item() == pytest.approx(variance, rel=0.02)
    assert about.pow(4).mean().item() == pytest.approx((kurtosis + 3) * variance**2, rel=0.03)
