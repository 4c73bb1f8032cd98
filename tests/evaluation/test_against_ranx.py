"""Our figures against ranx, for every user of random rankings with ties.

ranx gets our lists with strictly decreasing pseudo-scores, since it breaks ties by whatever its
sort does. Where its definition is another: its precision and F1 divide by the length of the list
returned, ours by K (the lists here are full); its MAP divides by all positives, as TREC does, ours
by min(positives, K), so it is compared for the users who have no more than K.
"""

import pytest
import ranking_reference as reference
import torch

from fusionlab.evaluation.full_ranking import evaluate
from fusionlab.evaluation.metrics import LIST_METRICS
from fusionlab.evaluation.ranking import top_k

CUTOFFS = [2, 5, 20]


@pytest.fixture(scope="module")
def ranx():
    """Ranx as plain Python: compiling it takes most of a minute, running it here takes no time."""
    numba = pytest.importorskip("numba", reason="ranx is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", True)
        yield pytest.importorskip("ranx", reason="ranx is not installed")


def test_list_metrics(ranx) -> None:
    problem = reference.draw(12, 40, 150, levels=5, busy=0.15, overlap=False)
    result = evaluate(
        problem.scores,
        problem.exclude,
        problem.relevant,
        metrics=[*LIST_METRICS],
        cutoffs=CUTOFFS,
    )["test"]
    users = result.units.tolist()
    assert 0 < len(users) < 40, "the draw should leave some users without positives"
    lists, _ = top_k(problem.scores, problem.exclude, result.units, max(CUTOFFS))
    wanted = {str(u): dict.fromkeys(_names(problem, u), 1) for u in users}
    shown = {
        str(user): {str(item): 100.0 - rank for rank, item in enumerate(items)}
        for user, items in zip(users, lists.tolist(), strict=True)
    }
    names = [f"{name}@{k}" for name in LIST_METRICS for k in CUTOFFS]
    found = ranx.evaluate(
        ranx.Qrels(wanted), ranx.Run(shown), names, return_mean=False, make_comparable=True
    )
    order = {user: at for at, user in enumerate(sorted(wanted))}
    at = torch.tensor([order[str(user)] for user in users])
    positives = problem.relevant["test"].counts[result.units]
    for name in names:
        same = torch.ones(len(users), dtype=torch.bool)
        if name.startswith("map"):
            same = positives <= int(name.split("@")[1])
            assert same.any()
        expected = torch.from_numpy(found[name])[at]
        torch.testing.assert_close(
            result.per_unit[name][same], expected[same], atol=1e-6, rtol=0, msg=name
        )


def _names(problem, user):
    return [str(item) for item in reference.row(problem.relevant["test"], user)]
