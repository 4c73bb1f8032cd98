"""How much of a known answer was found: the gain of a ranking or a classification, atom by atom."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fusionlab.data.interactions import Clicks
from fusionlab.data.synthetic import Truth
from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import Scores, score_blocks

Floats = npt.NDArray[np.float64]


def ranking_gains(
    truth: Truth,
    scores: Scores,
    exclude: Clicks,
    *,
    block: int = 256,
    device: torch.device | str = "cpu",
) -> dict[str, float]:
    """How much more of each atom's utility the higher ranked of two candidates has.

    gain(a) = mean over users u and pairs (i, j) of candidates of
              sign(s(u, i) - s(u, j)) (part_a(u, i) - part_a(u, j))

    with part_a(u, i) = w_a theta_u[a, y_i[a]] the atom's part of the true utility. The pairs are
    those of AUC, weighed by what is at stake instead of by clicks, so it depends on the order
    alone. 0 for a ranking that knows nothing of the atom. Summed over atoms (and popularity) no
    ranking gains more than that by the true utility; a ranking that serves one atom alone gains
    more of this one.

    Args:
        truth: of a catalogue with users.
        scores: users (b,) on ``device`` to scores (b, N); what it returns may be overwritten.
        exclude: items that are no candidates, as a rule the train clicks.
        block: b, users scored at a time.
        device: where scores are computed.

    Returns:
        atom to its gain, in units of utility.
    """
    n_users, alphabet = len(truth.tastes), truth.alphabet
    one_hot = torch.nn.functional.one_hot(truth.observed, alphabet).flatten(1).double()
    weights = torch.tensor([atom.weight for atom in truth.atoms], dtype=torch.float64)
    total = torch.zeros(len(truth.atoms), dtype=torch.float64)
    for part in score_blocks(scores, exclude, torch.arange(n_users), block=block, device=device):
        lead = torch.from_numpy(_lead(part.scores.cpu().double().numpy()))
        by_value = (lead @ one_hot).unflatten(1, (-1, alphabet))
        parts = truth.tastes[part.rows].double() * weights[:, None]
        total += (by_value * parts).sum((0, 2))
    names = [atom.name for atom in truth.atoms]
    return dict(zip(names, (2 * total / n_users).tolist(), strict=True))


def _lead(scores: Floats) -> Floats:
    """(b, N): the share of candidates that an item stands above, less the share above it, over the
    number of candidates; 0 for what is none (-inf)."""
    from scipy.stats import rankdata  # half a second, for catalogues with a known truth only

    candidate = scores > -np.inf
    n = candidate.sum(1, keepdims=True)
    rank = rankdata(scores, axis=1) - (scores.shape[1] - n)
    lead: Floats = np.where(candidate, (2 * rank - n - 1) / np.maximum(n, 1) ** 2, 0.0)
    return lead


def class_gains(truth: Truth, items: Tensor, predicted: Tensor) -> dict[str, float]:
    """How much of the accuracy above chance each atom accounts for.

    t(c | y) = 1 where c is the class of the labels y. Over uniform labels it splits into functions
    t_S of the labels of each set S of atoms that have mean zero in each of them (Hoeffding 1948):

    accuracy - chance = mean_i sum_{S not empty} t_S(c_i | y_i),  chance = mean_i t_{}(c_i)

    for predicted classes c_i; gain(a) = mean_i sum_{S with a} t_S(c_i | y_i) / |S|. A prediction
    that knows nothing of an atom gains 0 of it, up to chance among few items.

    Args:
        truth: of a catalogue with classes.
        items: (n,) rows of the items.
        predicted: (n,) int64, the class predicted for each.

    Returns:
        atom to its gain; they sum to accuracy - chance.
    """
    if truth.class_of is None:
        raise FusionlabError(
            "class gains: this catalogue has no classes; generate it with task: classification"
        )
    classes = truth.class_of.numpy()
    right = np.eye(int(classes.max()) + 1)[classes]
    labels = truth.observed[items.cpu()].numpy()
    at = (*labels.T, predicted.cpu().numpy())
    gains = dict.fromkeys((atom.name for atom in truth.atoms), 0.0)
    axes = range(len(truth.atoms))
    for size in axes:
        for chosen in itertools.combinations(axes, size + 1):
            found = np.broadcast_to(_effect(right, set(chosen)), right.shape)[at].mean()
            for axis in chosen:
                gains[truth.atoms[axis].name] += float(found) / len(chosen)
    return gains


def _effect(values: Floats, chosen: set[int]) -> Floats:
    """t_S: deviations from the mean along the axes chosen, means along the others."""
    for axis in range(values.ndim - 1):
        mean = values.mean(axis=axis, keepdims=True)
        values = values - mean if axis in chosen else mean
    return values
