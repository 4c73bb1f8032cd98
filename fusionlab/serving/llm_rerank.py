"""Reranking by a language model: how likely is an item's text after those of the user's history?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.ranking import NOTHING
from fusionlab.serving.causal import CausalLm

TEXT = "{text}"
Items = Sequence[int] | Tensor
"""Rows of the catalogue."""


@dataclass(frozen=True)
class Prompt:
    """The history as a list that the candidate continues.

    ``intro``, then ``line`` with the text of each item, oldest first, then ``question`` and the
    beginning of one more line, whose text is the candidate's.
    """

    intro: str = "What one person likes:\n"
    line: str = f"- {TEXT}\n"
    question: str = ""

    def around(self) -> tuple[str, str, str]:
        """What stands before, directly before (a space or nothing) and after a text in a line.

        Most tokenizers join a space to the word that follows, so it belongs to the text's tokens.
        """
        if self.line.count(TEXT) != 1:
            raise FusionlabError(f"prompt: line: found {self.line!r}, expected {TEXT} in it once")
        before, after = self.line.split(TEXT)
        return before.removesuffix(" "), " " if before.endswith(" ") else "", after


class LlmReranker:
    """Orders a user's candidates by the likelihood of their texts given the history's.

    l(c | h) = 1/|c| sum_t log p(c_t | prompt(h), c_<t),  and with ``surprise``
    l(c | h) - l(c | no history)

    The history is read once a user; its keys and values serve all candidates (`CausalLm`). With
    ``surprise`` what a text is worth by itself, for being fluent or about something well known, is
    taken off; it is computed once an item.

    Histories and candidates are rows of the catalogue, as lists or tensors. Where -1 stands there
    is nothing, as at the end of a short list of `top_k`: it is not told in a history, and of
    candidates it stands last.

    Args:
        lm: the model.
        texts: one an item of the catalogue, None where there is none.
        prompt: how the history is told.
        history: at most so many of the user's last items are told.
        max_tokens: of a text; what is longer is cut.
        block: candidates read at once; it bounds memory and changes no figure.
        soft: of each item of the catalogue its soft tokens (S, E), as of `LlmPrefix.soft_tokens`;
            they follow its text in a history.
        surprise: subtract the likelihood without a history.

    Raises:
        FusionlabError: a prompt without {text}, or longer with everything in it than the model can
            read; an option below 1, soft tokens of other items or of another width; a row that is
            none, scores that are not finite or not one a candidate.

    Source: likelihoods of items as text, Hou et al. 2024, Large language models are zero-shot
        rankers for recommender systems, among others; the subtraction, Holtzman et al. 2021,
        Surface form competition (PMI_DC).
    """

    def __init__(
        self,
        lm: CausalLm,
        texts: Sequence[str | None],
        *,
        prompt: Prompt | None = None,
        history: int = 10,
        max_tokens: int = 32,
        block: int = 32,
        soft: Sequence[Tensor] | None = None,
        surprise: bool = False,
    ) -> None:
        self.lm, self.texts, self.block = lm, texts, block
        self.history, self.max_tokens = history, max_tokens
        self.soft, self.surprise = soft, surprise
        self._check_options()
        prompt = prompt or Prompt()
        before, self.space, after = prompt.around()
        self.intro = lm.tokens(prompt.intro, start=True)
        self.before, self.after = lm.tokens(before), lm.tokens(after)
        self.question = lm.tokens(prompt.question)
        self._alone: dict[int, float] = {}
        if not [*self.intro, *self.question, *self.before]:
            raise FusionlabError("prompt: found no token before the first text, expected an intro")
        self._check_length()

    def log_likelihoods(self, history: Items, candidates: Items) -> Tensor:
        """l of each candidate (C,), higher is likelier; NaN where a candidate has no text or is -1.

        Args:
            history: rows of the user's items, oldest first.
            candidates: rows of items.
        """
        history, candidates = self._rows("history", history), self._rows("candidates", candidates)
        found = self._after(history, candidates)
        if not self.surprise:
            return found
        unknown = [item for item in candidates if item not in self._alone]
        self._alone |= dict(zip(unknown, self._after((), unknown).tolist(), strict=True))
        return found - torch.tensor([self._alone[item] for item in candidates])

    def scores(
        self,
        history: Items,
        candidates: Items,
        base: Tensor | None = None,
        weight: float = 1.0,
    ) -> Tensor:
        """weight z(l) + (1 - weight) z(base) as (C,), z standardised over these candidates.

        A candidate without text stands at the mean of l, and -1 at minus infinity. ``base`` (C,)
        are the scores of the recommender that chose the candidates, anything where that is -1.
        """
        candidates = self._rows("candidates", candidates)
        there = torch.tensor(candidates, dtype=torch.long) != NOTHING
        if not 0 <= weight <= 1:
            raise FusionlabError(f"weight: found {weight}, expected a share from 0 to 1")
        if base is None and weight < 1:
            raise FusionlabError(f"weight: found {weight} without base scores, expected 1")
        likely = self.log_likelihoods(history, candidates)
        if base is None:
            scores = standardised(likely)
        else:
            base = base.cpu().float()
            if base.shape != there.shape or not base[there].isfinite().all():
                raise FusionlabError(
                    f"base: found {tuple(base.shape)} scores, of which "
                    f"{int((~base.isfinite()).sum())} are not finite; expected a finite score for "
                    f"each of {len(candidates)} candidates"
                )
            scores = mixed(likely, base.where(there, torch.nan), weight)
        return scores.masked_fill(~there, -torch.inf)

    def rerank(
        self,
        history: Items,
        candidates: Items,
        base: Tensor | None = None,
        weight: float = 1.0,
    ) -> Tensor:
        """The candidates (C,), best first; of equal scores the one that came first; -1 last."""
        candidates = self._rows("candidates", candidates)
        order = self.scores(history, candidates, base, weight).argsort(descending=True, stable=True)
        return torch.tensor(candidates, dtype=torch.long)[order]

    def prefix(self, history: Items) -> Tensor:
        """The vectors (T, E) that stand before a candidate's text."""
        known = [item for item in self._rows("history", history) if item != NOTHING]
        told = [item for item in known[max(len(known) - self.history, 0) :] if self._has(item)]
        parts = [self.lm.embed(self.intro)]
        for item in told:
            parts.append(self.lm.embed([*self.before, *self._tokens(item)]))
            if self.soft is not None:
                parts.append(self.soft[item].to(parts[0]))
            parts.append(self.lm.embed(self.after))
        parts.append(self.lm.embed([*self.question, *self.before]))
        return torch.cat(parts)

    def _after(self, history: Sequence[int], candidates: Sequence[int]) -> Tensor:
        found = torch.full((len(candidates),), torch.nan)
        tokens = {place: self._tokens(item) for place, item in enumerate(candidates)}
        # Like lengths together: little is padded.
        places = sorted((p for p, ids in tokens.items() if ids), key=lambda p: len(tokens[p]))
        if not places:
            return found
        read = self.lm.read(self.prefix(history))
        for start in range(0, len(places), self.block):
            some = places[start : start + self.block]
            likely = self.lm.log_likelihoods(read, [tokens[place] for place in some])
            found[some] = likely.cpu()
        return found

    def _has(self, item: int) -> bool:
        return bool(self._tokens(item)) or (self.soft is not None and len(self.soft[item]) > 0)

    def _tokens(self, item: int) -> list[int]:
        text = None if item == NOTHING else self.texts[item]
        if text is None or not text.strip():
            return []
        return self.lm.tokens(self.space + " ".join(text.split()))[: self.max_tokens]

    def _rows(self, what: str, items: Items) -> list[int]:
        """Rows as numbers; FusionlabError if one is neither of the catalogue nor -1."""
        rows = [int(item) for item in items]
        wrong = [row for row in rows if not NOTHING <= row < len(self.texts)]
        if wrong:
            raise FusionlabError(
                f"{what}: found item {wrong[0]}, expected rows from 0 to {len(self.texts) - 1}, or "
                "-1 for nothing"
            )
        return rows

    def _check_options(self) -> None:
        for name in ("history", "max_tokens", "block"):
            if getattr(self, name) < 1:
                raise FusionlabError(f"{name}: found {getattr(self, name)}, expected at least 1")
        if self.soft is None:
            return
        if len(self.soft) != len(self.texts):
            raise FusionlabError(
                f"soft: found soft tokens of {len(self.soft)} items, expected {len(self.texts)}, "
                "one a text"
            )
        for row, tokens in enumerate(self.soft):
            if tokens.dim() != 2 or tokens.shape[1] != self.lm.width:
                raise FusionlabError(
                    f"soft: row {row}: found shape {tuple(tokens.shape)}, expected (S, "
                    f"{self.lm.width}), the width of {self.lm.name!r}"
                )

    def _check_length(self) -> None:
        tokens = max(map(len, self.soft or ()), default=0)
        line = len(self.before) + self.max_tokens + tokens + len(self.after)
        needed = len(self.intro) + (self.history + 1) * line + len(self.question)
        if self.lm.longest is not None and needed > self.lm.longest:
            raise FusionlabError(
                f"history: {self.history} texts of at most {self.max_tokens} tokens and what is "
                f"around them may be {needed} tokens, expected at most {self.lm.longest}, which is "
                "what the model can read: lower history or max_tokens"
            )


def mixed(likely: Tensor, base: Tensor, weight: float) -> Tensor:
    """weight z(likely) + (1 - weight) z(base), z standardised over the candidates (C,)."""
    return weight * standardised(likely) + (1 - weight) * standardised(base)


def standardised(values: Tensor) -> Tensor:
    """(x - mean) / standard deviation of what is not NaN; NaN, and values all alike, become 0."""
    on = ~values.isnan()
    centred = torch.where(on, values - values[on].mean(), 0)
    deviation = (centred.square().sum() / on.sum()).sqrt()
    return torch.where(on & (deviation > 0), centred / deviation, 0)
