"""The same epochs as in `by_hand`, as users of the framework call them."""

import tempfile
from pathlib import Path
from unittest.mock import patch

import polars as pl
import torch
from by_hand import DIM, TYPES
from shapes import BATCH, CLICKS, HELD_OUT, ITEMS, USERS, clicks, features

from fusionlab import terminal
from fusionlab.balancing.contract import BALANCERS
from fusionlab.config import experiment_from
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.features import multiplied
from fusionlab.data.interactions import Interactions
from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.metrics import hits_of, list_metrics
from fusionlab.fusion.contract import FUSIONS
from fusionlab.recommenders.catalogue_product import CatalogueProduct
from fusionlab.recommenders.contract import RECOMMENDERS, Context
from fusionlab.schema import validate
from fusionlab.seal import Sealed
from fusionlab.sections import Judging, Runtime, Training
from fusionlab.studies.executor import execute
from fusionlab.studies.run import configure, run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.training.loop import Loop
from fusionlab.training.ranking import RankingTask


def as_a_run(call, threads=2):
    """The call, set up as a run is: deterministic algorithms, pages kept."""

    def configured():
        configure(Runtime(threads=threads), seed=0)
        return call()

    return configured


def interactions(count=CLICKS):
    ids = pl.Series(map(str, range(USERS)))
    valid, test = clicks(HELD_OUT, 1), clicks(HELD_OUT, 2)
    return Interactions(ids, clicks(count), valid, Sealed("test interactions", test))


def epoch(
    recommender,
    fusion=None,
    held_in="fp32",
    *,
    balancer="none",
    signals_every=25,
    count=CLICKS,
    **widths,
):
    """One training epoch; ``widths`` are those of the modalities that ``fusion`` reads.

    Steps are computed in the type that features are held in, where the CPU multiplies it.
    """
    stored = features(**widths).to(dtype=TYPES[held_in]) if widths else None
    strategy = FUSIONS.parse(fusion).build(stored.specs, DIM) if stored else None
    known = interactions(count)
    model = RECOMMENDERS.parse(recommender).build(Context(known.train, DIM), strategy)
    training = validate(Training, {"batch_size": BATCH, "signals_every": signals_every})
    balancing = BALANCERS.parse(balancer).build(stored.modalities if stored else ())
    task = RankingTask(
        model, known, stored, training, Judging(), "ndcg@20", "cpu", balancer=balancing
    )
    task.prepare()
    is_multiplied = multiplied(torch.empty(0, dtype=TYPES[held_in])) == TYPES[held_in]
    precision = held_in if is_multiplied else "fp32"
    runtime = validate(Runtime, {"features": held_in, "precision": precision})
    return Loop(task, training, runtime, seed=0).train_epoch


def factors():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(USERS, 64, generator=draw), torch.randn(64, ITEMS, generator=draw)


def judging(metrics):
    """A call that evaluates random factors on both splits."""
    users, items = factors()
    product = CatalogueProduct(items.T)
    relevant = {"valid": clicks(HELD_OUT, 1), "test": clicks(HELD_OUT, 2)}

    def judge():
        judged = evaluate(
            lambda rows: product(users[rows]), clicks(), relevant, metrics=metrics, cutoffs=(10, 20)
        )
        return {f"{split}.{k}": v for split, one in judged.items() for k, v in one.means().items()}

    return judge


def metrics(lists):
    """A call that measures Recall and NDCG of lists (U, K) against the test clicks."""
    held_out = clicks(HELD_OUT, 2)
    users = (held_out.counts > 0).nonzero()[:, 0]

    def measure():
        hits = hits_of(lists[users], held_out, users)
        found = list_metrics(("recall", "ndcg"), (10, 20), hits, held_out.counts[users])
        return {name: float(values.mean()) for name, values in found.items()}

    return measure


@DATASETS.register("baby_shape")
class BabyShape(DatasetFormat):
    """The random clicks of `shapes`, without features."""

    def load(self):
        ids = pl.Series(map(str, range(ITEMS)))
        return Dataset("baby_shape", ids, None, interactions(), None, "baby-shape")


def whole_run(epochs):
    """`by_hand.whole_run` as an experiment: shown, recorded, and with a checkpoint each 3 seconds
    (a run has one each 20, which this one would end before)."""
    experiment = experiment_from(
        {
            "dataset": {"name": "baby_shape"},
            "recommender": "bpr_mf",
            "training": {"epochs": epochs, "patience": epochs, "batch_size": BATCH},
            "evaluation": {"metrics": ["recall", "ndcg"], "cutoffs": [10, 20]},
            "runtime": {"threads": torch.get_num_threads()},
        }
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("fusionlab.training.loop.CHECKPOINT_SECONDS", 3.0),
        patch.object(Loop, "_save", autospec=True, side_effect=Loop._save) as save,
        terminal.epochs(epochs) as on_epoch,
    ):
        record = run_experiment(experiment, RunStore(Path(folder)), on_epoch=on_epoch)
    assert save.call_count > 1
    return {f"test.{name}": value for name, value in record.metrics["test"].items()}


def study(workers, runs=16):
    """Runs on a small catalogue, a seed each, in ``workers`` processes."""
    base = {
        "dataset": {"name": "synthetic", "users": 2000, "items": 1000},
        "recommender": "hybrid",
        "training": {"epochs": 20, "patience": 20},
    }
    planned = {f"seed {seed}": experiment_from(base | {"seed": seed}) for seed in range(runs)}
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        execute(planned, store, workers=workers, on_run=lambda run: None)
