"""A trial of reranking: mixed orders, and what they are worth, by hand."""

import pytest
import torch
from tiny_causal import tiny

from fusionlab.config import experiment_from
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import NOTHING
from fusionlab.serving.llm_rerank import LlmReranker
from fusionlab.serving.rerank_trial import METRICS, Candidates, rerank_trial
from fusionlab.studies.audit import opened
from fusionlab.studies.run import run_experiment
from fusionlab.studies.store import RunStore
from fusionlab.studies.trained import load_trained

RENDERED = {
    "dataset": {"name": "synthetic", "features": "rendered", "users": 40, "items": 30, "clicks": 8},
    "encoders": {"text": {"of": "text", "encoder": {"name": "tfidf", "width": 8}}},
    "dim": 8,
    "training": {"epochs": 1},
    "evaluation": {"cutoffs": [5]},
}
WEIGHTS = (0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A trained run, and its test labels."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    trained = load_trained(run_experiment(experiment_from(RENDERED), store).id, store)
    relevant = opened(trained, store, "test", "does reranking help?")
    assert store.load(trained.record.id).test_opened[-1]["why"] == "does reranking help?"
    return trained, relevant


def test_orders_are_mixed_by_weight(found):
    trained, relevant = found
    train = trained.dataset.interactions.train
    known = Candidates.of(trained.task, train, relevant, 5, 6)
    lm, texts = tiny("llama"), trained.dataset.media["text"].entries
    reranker = LlmReranker(lm, texts, history=2, max_tokens=6)
    lists, seconds = known.reranked(reranker, WEIGHTS)
    assert seconds > 0
    assert torch.equal(lists[0.0], known.lists)
    for row, user in enumerate(known.users.tolist()):
        items = [item for item in known.lists[row].tolist() if item != NOTHING]
        history = train.items[train.indptr[user] : train.indptr[user + 1]].tolist()
        likely = dict(zip(items, reranker.log_likelihoods(history, items).tolist(), strict=True))
        ordered = [item for item in lists[1.0][row].tolist() if item != NOTHING]
        assert ordered == sorted(items, key=lambda item: -likely[item])
        assert sorted(lists[0.5][row].tolist()) == sorted(known.lists[row].tolist())


def test_a_trial_judges_every_order_on_the_same_users(found):
    trained, relevant = found
    trial = rerank_trial(
        trained, relevant, tiny("llama"), users=7, k=6, history=2, max_tokens=6, weights=WEIGHTS
    )
    assert [*trial.after] == [f"{k} {w:g}" for k in ("likelihood", "surprise") for w in WEIGHTS]
    assert trial.seconds.keys() == {"likelihood", "surprise"}
    for metric in METRICS:
        assert trial.before[metric].shape == (7,)
        assert torch.equal(trial.after["likelihood 0"][metric], trial.before[metric])
    recall = "recall@10"  # of lists shorter than the cut-off no order changes it
    assert all(torch.equal(one[recall], trial.before[recall]) for one in trial.after.values())


def test_a_column_that_holds_no_texts_is_named(found):
    trained, relevant = found
    with pytest.raises(
        FusionlabError, match=r"column of texts: found 'image', expected one of: text"
    ):
        rerank_trial(trained, relevant, tiny("llama"), column="image")
