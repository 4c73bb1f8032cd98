"""Greedy writing: only the words allowed, the most probable first, and it ends."""

import pytest
import torch
from tiny_causal import NAMES, tiny

from fusionlab.errors import FusionlabError
from fusionlab.serving.greedy import Greedy
from fusionlab.serving.grounding import FUNCTION_WORDS


@pytest.mark.parametrize("name", NAMES)
def test_greedy_writes_only_the_words_allowed_and_ends(name):
    lm = tiny(name)
    lm.tokenizer.add_tokens([".", ","])
    lm.causal.resize_token_embeddings(len(lm.tokenizer))
    greedy = Greedy(lm, most_words=5, batch_size=2)
    allowed = [frozenset(x.split()) for x in ("red dog runs the a", "blue cat", "bird sleeps over")]
    prompts = ["the red dog", "a blue cat sleeps over the house", "bird"]
    texts = greedy(prompts, allowed)
    assert texts == greedy(prompts, allowed)
    for prompt, text, words in zip(prompts, texts, allowed, strict=True):
        sentence = text[: text.index(".")].replace(",", " ").split()
        assert set(sentence) <= words
        assert 1 <= len(sentence) <= 5
        of_substance = [word for word in sentence if word not in FUNCTION_WORDS]
        assert len(set(of_substance)) == len(of_substance)
        alone = greedy([prompt], [words])[0]
        assert alone[: alone.index(".")] == text[: text.index(".")]


@pytest.mark.parametrize("name", NAMES)
def test_greedy_takes_the_most_probable_word(name):
    lm = tiny(name)
    lm.tokenizer.add_tokens([".", ","])
    lm.causal.resize_token_embeddings(len(lm.tokenizer))
    prompt = "the red dog"
    words = frozenset({"cat", "runs", "house", "bird"})
    ids = lm.tokens(prompt, start=True)
    with torch.no_grad():
        logits = lm.causal(input_ids=torch.tensor([ids])).logits[0, -1]
    best = max(words, key=lambda word: logits[lm.tokens(word)[0]])
    assert Greedy(lm)([prompt], [words])[0].split()[0] == best


def test_a_prompt_that_fills_the_model_is_refused():
    with pytest.raises(FusionlabError, match="expected fewer than 16"):
        Greedy(tiny("gpt2", longest=16))(["dog " * 20], [frozenset({"dog"})])
