"""Ranking losses: the clicked item against the items drawn beside it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.registry import Registry


class Loss(ABC):
    """Scores (..., C) with the clicked item first to a loss a row (...)."""

    normalised: ClassVar[bool] = False
    """Is it a softmax over the candidates? Then a score of -inf leaves a candidate out, and less
    log q corrects for how often it is drawn."""

    @abstractmethod
    def __call__(self, scores: Tensor) -> Tensor:
        """The loss of each row."""

    @abstractmethod
    def confidence(self, scores: Tensor) -> Tensor:
        """The probability (...,) that the model gives the clicked item under this loss."""


LOSSES: Registry[Loss] = Registry("loss", Loss, "fusionlab.training.losses")


@LOSSES.register("bpr")
class Bpr(Loss):
    """Bayesian personalised ranking: -log sigma(s_clicked - s_other), mean over the others.

    Source: Rendle et al. 2009, BPR: Bayesian personalized ranking from implicit feedback.
    """

    def __call__(self, scores: Tensor) -> Tensor:
        """Pairwise logistic loss."""
        return F.softplus(scores[..., 1:] - scores[..., :1]).mean(-1)

    def confidence(self, scores: Tensor) -> Tensor:
        """sigma(s_clicked - s_other), mean over the others."""
        return torch.sigmoid(scores[..., :1] - scores[..., 1:]).mean(-1)


@LOSSES.register("bce")
class Bce(Loss):
    """Binary cross-entropy: each candidate is a click or not.

    -log sigma(s_clicked) - sum over others of log(1 - sigma(s_other)), divided by C.
    """

    def __call__(self, scores: Tensor) -> Tensor:
        """Pointwise logistic loss."""
        clicked = F.softplus(-scores[..., 0])
        return (clicked + F.softplus(scores[..., 1:]).sum(-1)) / scores.shape[-1]

    def confidence(self, scores: Tensor) -> Tensor:
        """sigma(s_clicked)."""
        return torch.sigmoid(scores[..., 0])


@LOSSES.register("softmax")
class Softmax(Loss):
    """Sampled softmax: -log of the clicked item's share among the candidates.

    The other candidates are drawn uniformly, so no correction for their probability is needed: it
    is the same for all and cancels. With `training.sampling: in_batch` it is subtracted.
    """

    normalised = True

    def __call__(self, scores: Tensor) -> Tensor:
        """Cross-entropy with the clicked item as the class."""
        return scores.logsumexp(-1) - scores[..., 0]

    def confidence(self, scores: Tensor) -> Tensor:
        """The softmax probability of the clicked item."""
        return scores.softmax(-1)[..., 0]
