"""Token dropout: by the draws, and never the last."""

import torch

from fusionlab.data.augmentation.contract import AUGMENTATIONS


def test_tokens_go_by_their_draw_but_never_the_last():
    mask = torch.tensor([[1, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]).bool().repeat(200, 1)
    ids = torch.arange(2400).reshape(600, 4, 1)
    part = AUGMENTATIONS.parse({"name": "token_dropout", "rate": 0.7}).build()
    values, on = part.features(ids, mask, torch.Generator().manual_seed(3))
    draw = torch.rand(600, 4, generator=torch.Generator().manual_seed(3))
    assert values is ids
    for row in range(600):
        there = [k for k in range(4) if mask[row, k]]
        left = [k for k in there if draw[row, k] >= 0.7]
        if there and not left:
            left = [max(there, key=lambda k: draw[row, k])]
        assert on[row].nonzero().flatten().tolist() == left
    assert (on.sum(1)[0::3] < 3).any()
