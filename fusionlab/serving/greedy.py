"""Greedy decoding that writes no word outside a given vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from fusionlab.errors import FusionlabError
from fusionlab.serving.causal import CausalLm
from fusionlab.serving.grounding import FUNCTION_WORDS

Prefix = tuple[int, ...]
"""The first tokens of a word."""


class Trie:
    """Words by the tokens that they begin with.

    Args:
        words: each with its tokens.
    """

    def __init__(self, words: Mapping[str, Prefix]) -> None:
        self.ends = {tokens: word for word, tokens in words.items()}
        self.under: dict[Prefix, set[str]] = {}
        self.children: dict[Prefix, dict[int, None]] = {}
        for word, tokens in words.items():
            for end in range(1, len(tokens) + 1):
                self.under.setdefault(tokens[:end], set()).add(word)
                self.children.setdefault(tokens[: end - 1], {})[tokens[end - 1]] = None

    def after(self, prefix: Prefix, without: set[str]) -> list[int]:
        """The tokens that go on from ``prefix`` to a word that is not among ``without``."""
        return [
            token for token in self.children.get(prefix, ()) if self.under[*prefix, token] - without
        ]


class Greedy:
    """The most probable sentence of allowed words, token by token, of a batch of prompts.

    A trie of the tokens of " WORD" for each allowed word says which tokens may follow: those that
    go on with the word, or, where it ends, those that begin another, a comma or the full stop. No
    word stands twice in a row, and but for function words none twice at all: small models go round
    in circles. Nothing is drawn: the same prompts give the same texts.

    Args:
        lm: the model.
        most_words: after which only the full stop may follow.
        batch_size: prompts read at once.
    """

    def __init__(self, lm: CausalLm, most_words: int = 14, batch_size: int = 16) -> None:
        self.lm, self.most_words, self.batch_size = lm, most_words, batch_size
        self.stop, self.comma = (lm.tokens(mark)[-1] for mark in ".,")
        self.tokens = lru_cache(maxsize=2**16)(lambda word: tuple(lm.tokens(f" {word}")))

    def __call__(self, prompts: Sequence[str], words: Sequence[frozenset[str]]) -> list[str]:
        """What the model writes after each prompt, without the prompt, by the words allowed it."""
        starts = range(0, len(prompts), self.batch_size)
        parts = [slice(start, start + self.batch_size) for start in starts]
        return [text for part in parts for text in self._batch(prompts[part], words[part])]

    @torch.no_grad()
    def _batch(self, prompts: Sequence[str], words: Sequence[frozenset[str]]) -> list[str]:
        from transformers import GenerationConfig

        tries = [Trie({word: self.tokens(word) for word in sorted(some)}) for some in words]
        tokens = [self.lm.tokens(prompt, start=True) for prompt in prompts]
        width = max(map(len, tokens))
        longest = self.most_words * max(len(self.tokens(word)) for some in words for word in some)
        room = width + 2 * longest
        if self.lm.longest is not None:
            room = min(room, self.lm.longest)
        if room <= width:
            raise FusionlabError(
                f"a prompt has {width} tokens, expected fewer than {self.lm.longest}, which the "
                "model can read: tell less of the history or shorter fields"
            )

        def allowed(row: int, ids: Tensor) -> list[int]:
            return self._next(tries[row], ids[width:].tolist())

        padding = self.stop  # masked, so it may be any token; after a sentence it is cut off
        ids = torch.tensor([[padding] * (width - len(row)) + row for row in tokens])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in tokens])
        out = self.lm.causal.generate(
            input_ids=ids.to(self.lm.embeddings.device),
            attention_mask=mask.to(self.lm.embeddings.device),
            prefix_allowed_tokens_fn=allowed,
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=room - width,
                eos_token_id=self.stop,
                pad_token_id=padding,
            ),
        )
        written: list[str] = self.lm.tokenizer.batch_decode(out[:, width:])
        return written

    def _next(self, trie: Trie, written: Sequence[int]) -> list[int]:
        """The tokens that may follow what was ``written``."""
        at, used, count = Prefix(), set[str](), 0
        for token in written:
            if at and (*at, token) in trie.under:
                at = (*at, token)
            elif token == self.stop:
                return [self.stop]  # the sentence is over; others of the batch are not
            else:
                used = _used(used, trie.ends.get(at))
                at, count = (Prefix(), count) if token == self.comma else ((token,), count + 1)
        going_on = trie.after(at, used)
        if not at or at not in trie.ends or trie.ends[at] in used:
            return going_on or [self.stop]
        more = trie.after(Prefix(), _used(used, trie.ends[at]))
        if count >= self.most_words or not more:
            return [*going_on, self.stop]
        return [*going_on, self.stop, self.comma, *more]


def _used(before: set[str], word: str | None) -> set[str]:
    """What may not be written next: all words of substance that were, and the last one."""
    if word is None:
        return before
    return {one for one in before if one not in FUNCTION_WORDS} | {word}
