"""An epoch of VBPR (4096 + 384) and of a gated hybrid: the framework beside a loop by hand."""

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from shapes import BATCH, HELD_OUT, ITEMS, USERS, clicks, features

from fusionlab.config import Judging, Runtime, Training
from fusionlab.data.interactions import Interactions, Sealed
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask
from fusionlab.training.sampling import NegativeSampler

DIM, L2, ROUNDS = 64, 1e-2, 5
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
GROUP = "an epoch of VBPR (4096 + 384) and gated x 3, features in "


def framework(fusion, held_in, **widths):
    """One training epoch as users call it."""
    ids = pl.Series(map(str, range(USERS)))
    test = Sealed("test interactions", clicks(HELD_OUT, 2))
    interactions = Interactions(ids, clicks(), clicks(HELD_OUT, 1), test)
    stored = features(**widths).to(dtype=TYPES[held_in])
    strategy = FUSIONS.parse(fusion).build(stored.specs, DIM)
    model = RECOMMENDERS.parse("hybrid").build(Context(clicks(), DIM), strategy)
    training = validate(Training, {"batch_size": BATCH})
    task = RankingTask(model, interactions, stored, training, Judging(), "ndcg@20", "cpu")
    task.prepare()
    runtime = validate(Runtime, {"precision": held_in, "features": held_in})
    return Loop(task, training, runtime, seed=0).train_epoch


def by_hand(held_in, **widths):
    """The same maths as the hybrid with `concat`, without a framework around it."""
    stored = torch.cat([x[:, 0] for x in features(**widths).values.values()], 1)
    stored = stored.to(TYPES[held_in])
    tables = [torch.nn.Embedding(n, DIM) for n in (USERS, USERS, ITEMS)]
    tastes, users, items = tables
    bias, project = torch.nn.Embedding(ITEMS, 1), torch.nn.Linear(stored.shape[1], DIM)
    optimizer = torch.optim.AdamW(
        [*(p for m in (*tables, bias, project) for p in m.parameters())],
        lr=1e-3,
        weight_decay=0,
        fused=True,
    )
    sampler, generator = NegativeSampler(clicks()), torch.Generator().manual_seed(0)
    seen, place = torch.zeros(ITEMS).bool(), torch.zeros(ITEMS).long()

    def step(u, i, j):
        seen.zero_()
        seen[i], seen[j] = True, True
        distinct = seen.nonzero()[:, 0]
        place[distinct] = torch.arange(len(distinct))
        views = project(stored[distinct])
        t, p, q_i, q_j = tastes(u), users(u), items(i), items(j)
        v_i, v_j = F.embedding(place[i], views), F.embedding(place[j], views)
        margin = (p * (q_i - q_j)).sum(1) + (t * (v_i - v_j)).sum(1) + (bias(i) - bias(j))[:, 0]
        size = sum(x.square().sum() for x in (t, p, q_i, q_j, v_i, v_j))
        return F.softplus(-margin).mean() + L2 / (2 * len(u)) * size

    def epoch():
        negatives = sampler.draw(clicks().users, 1, generator)[:, 0]
        for rows in torch.randperm(len(clicks()), generator=generator).split(BATCH):
            with torch.autocast("cpu", torch.bfloat16, enabled=held_in == "bf16"):
                loss = step(clicks().users[rows], clicks().items[rows], negatives[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


@pytest.mark.parametrize("held_in", TYPES)
@pytest.mark.parametrize("loop", ["framework", "by hand"])
def test_vbpr(benchmark, loop, held_in):
    benchmark.group = GROUP + held_in
    widths = {"image": 4096, "text": 384}
    epochs = {
        "framework": lambda: framework("concat", held_in, **widths),
        "by hand": lambda: by_hand(held_in, **widths),
    }
    benchmark.pedantic(epochs[loop](), rounds=ROUNDS, warmup_rounds=1)


@pytest.mark.parametrize("held_in", TYPES)
def test_gated_three_modalities(benchmark, held_in):
    benchmark.group = GROUP + held_in
    epoch = framework("gated", held_in, image=4096, text=384, audio=128)
    benchmark.pedantic(epoch, rounds=ROUNDS, warmup_rounds=1)
