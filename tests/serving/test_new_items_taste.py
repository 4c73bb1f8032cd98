"""An item that training never saw, with one modality, against the oracle."""

import numpy as np
import polars as pl
import pytest
import torch
from scipy.stats import spearmanr
from small_runs import trained_run

from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.new_items import NewItem
from fusionlab.seal import Openings
from fusionlab.serving.recommend import Service
from fusionlab.studies.store import RunStore

MODALITIES = ("text", "image", "audio")
KNOWN, ADDED = 160, 40


def shop(folder, seed):
    """A folder with the first items of a synthetic catalogue; returns the whole catalogue."""
    whole = Synthetic(users=250, items=KNOWN + ADDED, clicks=40, nuisance=0, seed=seed).load()
    clicks = whole.interactions
    parts = [clicks.train, clicks.valid, clicks.test.open(Openings(), "a test")]
    pairs = [(u, i) for p in parts for u, i in zip(p.users.tolist(), p.items.tolist(), strict=True)]
    kept = [(f"u{u}", f"i{i}") for u, i in sorted(pairs) if i < KNOWN]
    (folder / "features").mkdir(parents=True)
    pl.DataFrame(kept, schema=["user", "item"], orient="row").write_csv(folder / "interactions.csv")
    pl.DataFrame({"item": [f"i{i}" for i in range(KNOWN)]}).write_csv(folder / "items.csv")
    for name, values in whole.features.values.items():
        np.save(folder / "features" / f"{name}.npy", values[:KNOWN, 0].numpy())
    return whole


@pytest.mark.parametrize(
    ("recommender", "seed"),
    [("content", 0), ("hybrid", 0), ("hybrid", 1), ("item_graph", 0), ("lightgcn", 0)],
)
def test_it_suits_those_whom_the_oracle_says(recommender, seed, tmp_path):
    whole = shop(tmp_path / "shop", seed)
    training = {"epochs": 8, "batch_size": 512, "learning_rate": 0.01, "modality_dropout": 0.3}
    trained = trained_run(
        RunStore(tmp_path / "runs"),
        dataset={"name": "folder", "path": str(tmp_path / "shop")},
        recommender=recommender,
        fusion="sum",
        training=training,
        seed=seed,
    )
    rows = range(KNOWN, KNOWN + ADDED)
    agreement, percentiles, listed = [], [], []
    for name in MODALITIES:
        new = [NewItem(f"n{i}", vectors={name: whole.features.values[name][i]}) for i in rows]
        service = Service(trained, new)
        users = [int(user[1:]) for user in trained.dataset.interactions.user_ids]
        scores = service.scoring.ranker(torch.arange(len(users))).clone()
        places = scores.argsort(1).argsort(1)[:, KNOWN:] / (KNOWN + ADDED - 1)
        truth = whole.truth.coalition_utility(torch.tensor(users), [name])
        taste = (truth - whole.truth.tau * whole.truth.popularity)[:, KNOWN:]
        lists = service.recommend([f"u{user}" for user in users], 20)
        shown = [{one.item for one in found.items} for found in lists]
        for item in range(ADDED):
            agreement.append(spearmanr(places[:, item], taste[:, item]).statistic)
            fans = taste[:, item].topk(25).indices
            percentiles.append(float(places[fans, item].mean()))
            listed.append(any(f"n{KNOWN + item}" in shown[fan] for fan in fans.tolist()))
    found = [np.mean(one) for one in (agreement, percentiles, listed)]
    print(f"{recommender}, seed {seed}:", *(f"{one:.3f}" for one in found))
    # over seeds 0 to 2 of each: .77 to .83; .67 to .75; .46 to .93 have it listed by somebody whom
    # it suits
    assert found[0] > 0.7
    assert found[1] > 0.65
    assert found[2] > 0.3
