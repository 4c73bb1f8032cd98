"""The published splits and their protocol, judged a second time without the package's own code.

MMRec's and DiffMM's evaluations mask a user's train items and nothing else, rank all items, and
average over the users who have a test item. The reference below says that again, a user at a time,
from the file itself.
"""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from fusionlab.data.formats.mmrec import MMRec
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.seal import Openings

SHARED = os.environ.get("FUSIONLAB_SHARED", Path(__file__).parents[2].parent / "shared")
DATA = Path(SHARED) / "data"
TRAIN, VALID, TEST = 0, 1, 2
K, WIDTH = 20, 8


@pytest.fixture(params=["tiktok", "baby"])
def folder(request):
    found = DATA / request.param
    if not found.is_dir():
        pytest.skip(f"the published split {found} is not at hand")
    return found


def pairs(folder, part):
    frame = pl.read_csv(folder / f"{folder.name}.inter", separator="\t")
    return frame.filter(pl.col("x_label") == part).select("userID", "itemID").to_numpy()


def judged_again(scores, train, test):
    """Recall and NDCG at K of scores (U, N), a user at a time."""
    clicked, wanted = ({u: set() for u in range(len(scores))} for _ in range(2))
    for found, rows in ((clicked, train), (wanted, test)):
        for user, item in rows.tolist():
            found[user].add(item)
    recalls, ndcgs = [], []
    for user, positives in wanted.items():
        if not positives:
            continue
        row = scores[user].copy()
        row[list(clicked[user])] = -np.inf
        top = np.argpartition(-row, K)[:K]
        top = top[np.argsort(-row[top])]
        gains = np.array([item in positives for item in top]) / np.log2(np.arange(2, K + 2))
        ideal = 1 / np.log2(np.arange(2, min(len(positives), K) + 2))
        recalls.append((gains > 0).sum() / len(positives))
        ndcgs.append(gains.sum() / ideal.sum())
    return {"recall@20": np.mean(recalls), "ndcg@20": np.mean(ndcgs)}


def test_ours_is_the_published_protocol(folder):
    clicks = MMRec(path=str(folder)).load().interactions
    assert clicks.user_ids.to_list() == list(range(clicks.n_users))
    generator = torch.Generator().manual_seed(0)
    users = torch.randn(clicks.train.n_users, WIDTH, generator=generator)
    items = torch.randn(clicks.train.n_items, WIDTH, generator=generator)
    # Taste for what is popular makes hits; the rest of the score makes every user another list.
    scores = (users @ items.T).double() / WIDTH + clicks.train.popularity.double().log1p()
    ours = evaluate(
        lambda some: scores[some].clone(),
        clicks.train,
        {"test": clicks.test.open(Openings(), "a test")},
        metrics=["recall", "ndcg"],
        cutoffs=[K],
    )["test"].means()
    again = judged_again(scores.numpy(), pairs(folder, TRAIN), pairs(folder, TEST))
    assert again["recall@20"] > 0.02
    assert ours == pytest.approx(again, abs=1e-12)


def test_no_click_stands_in_two_parts(folder):
    parts = [{tuple(pair) for pair in pairs(folder, part).tolist()} for part in range(3)]
    assert [len(part) for part in parts] == [len(pairs(folder, part)) for part in range(3)]
    assert len(set.union(*parts)) == sum(map(len, parts))


def test_on_tiktok_masking_validation_clicks_would_change_nothing(folder):
    """No user has both, so whether a protocol masks them cannot matter there."""
    if folder.name != "tiktok":
        pytest.skip("on Baby every user has both")
    assert not {*pairs(folder, VALID)[:, 0]} & {*pairs(folder, TEST)[:, 0]}
    assert (np.unique(pairs(folder, TEST)[:, 0], return_counts=True)[1] == 1).all()
