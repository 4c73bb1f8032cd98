"""Our figures against torchmetrics, for every user of random rankings with ties.

torchmetrics sees each user's candidates with strictly decreasing positive pseudo-scores in our
order: it breaks ties by whatever its sort does (and averages them in NDCG), and it takes items
with a score of at most 0 for not retrieved. AUC alone gets the true scores: ties count half in
both. Its average precision divides by the hits found, ours by min(positives, K); the two agree
where nothing is left to find, so it is compared at a cutoff beyond the catalogue.
"""

import pytest
import ranking_reference as reference
import torch
from torchmetrics.functional import retrieval as peer

from fusionlab.evaluation.full_ranking import evaluate

N_ITEMS, CUTOFFS = 90, [1, 5, 20]
PEERS = {
    "recall": peer.retrieval_recall,
    "precision": peer.retrieval_precision,
    "ndcg": peer.retrieval_normalized_dcg,
    "mrr": peer.retrieval_reciprocal_rank,
    "hit_rate": peer.retrieval_hit_rate,
}


@pytest.fixture(scope="module")
def problem():
    return reference.draw(11, 40, N_ITEMS, levels=5, busy=0.15, overlap=False)


def run(problem, metrics, cutoffs):
    return evaluate(
        problem.scores, problem.exclude, problem.relevant, metrics=metrics, cutoffs=cutoffs
    )["test"]


def peer_input(problem, user):
    order = reference.ranked(problem, user)
    wanted = set(reference.row(problem.relevant["test"], user))
    return torch.arange(len(order), 0, -1).float(), torch.tensor([i in wanted for i in order])


@pytest.mark.parametrize("name", PEERS)
def test_list_metrics(problem, name) -> None:
    result = run(problem, [name], CUTOFFS)
    assert 0 < len(result.units) < 40, "the draw should leave some users without positives"
    for k in CUTOFFS:
        expected = [
            float(PEERS[name](*peer_input(problem, user), top_k=k))
            for user in result.units.tolist()
        ]
        assert result.per_unit[f"{name}@{k}"].tolist() == pytest.approx(expected, abs=1e-6)


def test_average_precision(problem) -> None:
    result = run(problem, ["map"], [N_ITEMS])
    expected = [
        float(peer.retrieval_average_precision(*peer_input(problem, user)))
        for user in result.units.tolist()
    ]
    assert result.per_unit[f"map@{N_ITEMS}"].tolist() == pytest.approx(expected, abs=1e-6)


def test_auc(problem) -> None:
    result = run(problem, ["auc"], [])
    expected = []
    for user in result.units.tolist():
        order = reference.ranked(problem, user)
        _, wanted = peer_input(problem, user)
        expected.append(float(peer.retrieval_auroc(problem.table[user, order], wanted)))
    assert result.per_unit["auc"].tolist() == pytest.approx(expected, abs=1e-6)
