"""Reranking by likelihood: a cached history gives what the whole sequence gives."""

import math

import pytest
import torch
from tiny_causal import NAMES, smollm2, tiny

from fusionlab.errors import FusionlabError
from fusionlab.serving.llm_rerank import LlmReranker, Prompt, standardised

TEXTS = [
    "the red dog",
    "a cat",
    "bird",
    "the blue bird sleeps over a house",
    "dog barks",
    None,
    "  ",
    "cat runs",
]
PROMPT = Prompt(intro="what one person likes : ", line="- {text} the", question="a person likes")
HISTORY, CANDIDATES = [0, 4, 1], [2, 3, 7, 1]


def by_hand(lm, history, text, soft=None):
    """The mean log-likelihood by one forward over the whole sequence, without a cache."""
    ids = lm.tokens(PROMPT.intro, start=True)
    parts = [lm.embed(ids)]
    for item in history:
        parts.append(lm.embed(lm.tokens(f"- {TEXTS[item]}")))
        if soft is not None:
            parts.append(soft[item])
        parts.append(lm.embed(lm.tokens("the")))
    parts.append(lm.embed(lm.tokens("a person likes -")))
    start = sum(map(len, parts))
    candidate = lm.tokens(text)
    parts.append(lm.embed(candidate))
    with torch.no_grad():
        logits = lm.causal(inputs_embeds=torch.cat(parts)[None], use_cache=False).logits[0]
    likely = logits.log_softmax(-1)[start - 1 : -1]
    return likely[torch.arange(len(candidate)), candidate].mean().item()


def whole(lm, history, candidates, soft=None):
    return torch.tensor([by_hand(lm, history, TEXTS[item], soft) for item in candidates])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("block", [1, 3, 32])
def test_the_cache_gives_the_likelihood_of_the_whole_sequence(name, block):
    lm = tiny(name)
    reranker = LlmReranker(lm, TEXTS, prompt=PROMPT, history=4, max_tokens=10, block=block)
    for history in (HISTORY, [3], []):
        expected = whole(lm, history, CANDIDATES)
        assert expected.std() > 0.1
        found = reranker.log_likelihoods(history, CANDIDATES)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_soft_tokens_follow_the_text_of_each_item_of_the_history(name):
    lm = tiny(name)
    drawn = torch.Generator().manual_seed(0)
    soft = [torch.randn(count, 16, generator=drawn) for count in (2, 4, 1, 0, 0, 2, 0, 2)]
    options = {"prompt": PROMPT, "history": 4, "max_tokens": 10}
    expected = whole(lm, HISTORY, CANDIDATES, soft)
    told = LlmReranker(lm, TEXTS, soft=soft, **options)
    found = told.log_likelihoods(HISTORY, CANDIDATES)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    # An item without text is told by its soft tokens; one that has neither is not.
    assert len(told.prefix([5])) == len(told.prefix([])) + 2 + len(lm.tokens("- the"))
    assert len(told.prefix([6])) == len(told.prefix([]))
    without = LlmReranker(lm, TEXTS, **options).log_likelihoods(HISTORY, CANDIDATES)
    assert (without - expected).abs().min() > 1e-3


def test_the_history_is_read_once_and_the_candidates_share_its_memory():
    lm = tiny("llama")
    reranker = LlmReranker(lm, TEXTS, prompt=PROMPT, history=4, max_tokens=10, block=2)
    seen = []
    lm.causal.register_forward_pre_hook(
        lambda _, args, given: seen.append(
            (given["inputs_embeds"] if "input_ids" not in given else given["input_ids"]).shape[:2]
        ),
        with_kwargs=True,
    )
    reranker.log_likelihoods(HISTORY, CANDIDATES)
    assert seen[0] == (1, len(reranker.prefix(HISTORY)))
    # Sorted by length: one token and two, then two and six; the last token of each needs no step.
    assert [tuple(shape) for shape in seen[1:]] == [(2, 1), (2, 6)]


def test_the_order_of_the_candidates_changes_nothing():
    reranker = LlmReranker(tiny("llama"), TEXTS, prompt=PROMPT, history=4, max_tokens=10)
    found = reranker.log_likelihoods(HISTORY, CANDIDATES)
    turned = reranker.log_likelihoods(HISTORY, CANDIDATES[::-1])
    torch.testing.assert_close(turned.flip(0), found, atol=1e-6, rtol=0)


def test_only_the_last_items_are_told_and_those_without_text_are_not():
    lm = tiny("gpt2")
    reranker = LlmReranker(lm, TEXTS, prompt=PROMPT, history=3, max_tokens=10)
    found = reranker.log_likelihoods([3, 2, *HISTORY], CANDIDATES)
    torch.testing.assert_close(found, whole(lm, HISTORY, CANDIDATES), atol=1e-5, rtol=0)
    found = reranker.log_likelihoods([0, 5, 6], CANDIDATES)
    torch.testing.assert_close(found, whole(lm, [0], CANDIDATES), atol=1e-5, rtol=0)


def test_surprise_subtracts_the_likelihood_without_a_history():
    lm = tiny("llama")
    reranker = LlmReranker(lm, TEXTS, prompt=PROMPT, history=4, max_tokens=10, surprise=True)
    expected = whole(lm, HISTORY, CANDIDATES) - whole(lm, [], CANDIDATES)
    for _ in range(2):
        found = reranker.log_likelihoods(HISTORY, CANDIDATES)
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


def test_a_candidate_without_text_stands_in_the_middle():
    reranker = LlmReranker(tiny("llama"), TEXTS, prompt=PROMPT, history=4, max_tokens=10)
    found = reranker.log_likelihoods(HISTORY, [2, 5, 3, 6])
    assert found.isnan().tolist() == [False, True, False, True]
    assert reranker.rerank(HISTORY, [2, 5, 3, 6]).tolist()[1:3] == [5, 6]
    assert reranker.rerank(HISTORY, [6, 5]).tolist() == [6, 5]


def test_weights_mix_standardised_scores():
    reranker = LlmReranker(tiny("llama"), TEXTS, prompt=PROMPT, history=4, max_tokens=10)
    base = torch.tensor([9.0, 1.0, 5.0, 5.0])
    likely = reranker.log_likelihoods(HISTORY, CANDIDATES)
    z = [(x - x.mean()) / x.std(correction=0) for x in (likely, base)]
    found = reranker.scores(HISTORY, CANDIDATES, base, 0.3)
    torch.testing.assert_close(found, 0.3 * z[0] + 0.7 * z[1])
    assert reranker.rerank(HISTORY, CANDIDATES, base, 0).tolist() == [2, 7, 1, 3]
    alone = reranker.rerank(HISTORY, CANDIDATES, base, 1.0)
    assert torch.equal(alone, reranker.rerank(HISTORY, CANDIDATES))
    assert torch.equal(alone, torch.tensor(CANDIDATES)[likely.argsort(descending=True)])


def test_standardised_leaves_what_is_unknown_and_what_is_alike_at_zero():
    found = standardised(torch.tensor([1.0, math.nan, 3.0]))
    torch.testing.assert_close(found, torch.tensor([-1.0, 0.0, 1.0]))
    assert standardised(torch.tensor([2.0, 2.0])).tolist() == [0, 0]
    assert standardised(torch.tensor([math.nan])).tolist() == [0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": Prompt(line="no place")}, r"expected \{text\} in it once"),
        ({"history": 20}, "lower history or max_tokens"),
        ({"prompt": Prompt(intro=""), "history": 1, "max_tokens": 4}, None),
    ],
)
def test_prompts_that_cannot_be_read_are_refused(options, said):
    lm = tiny("gpt2")
    if said is None:  # <s> stands there, which is enough
        assert len(LlmReranker(lm, TEXTS, **options).prefix([])) == 2
        return
    with pytest.raises(FusionlabError, match=said):
        LlmReranker(lm, TEXTS, **options)


def small_reranker(**options):
    return LlmReranker(
        tiny("llama"), TEXTS, prompt=PROMPT, **{"history": 4, "max_tokens": 10, **options}
    )


def test_what_fills_up_a_short_list_is_no_item():
    reranker = small_reranker(surprise=True)
    padded = [-1, 2, 3, -1, 7, 1]
    there = [1, 2, 4, 5]
    found = reranker.log_likelihoods([-1, *HISTORY, -1], padded)
    torch.testing.assert_close(found[there], reranker.log_likelihoods(HISTORY, CANDIDATES))
    assert found.isnan().tolist() == [True, False, False, True, False, False]
    base = torch.tensor([-torch.inf, 9, 1, -torch.inf, 5, 5])
    for given, weight in ((None, 1.0), (base, 0.5), (base, 0.0)):
        kept = None if given is None else given[there]
        wanted = reranker.rerank(HISTORY, CANDIDATES, kept, weight).tolist()
        assert reranker.rerank(HISTORY, padded, given, weight).tolist() == [*wanted, -1, -1]
    assert len(reranker.prefix([-1])) == len(reranker.prefix([]))
    assert reranker.rerank(HISTORY, []).tolist() == []


@pytest.mark.parametrize("surprise", [False, True])
def test_tensors_are_lists_of_items(surprise):
    reranker = small_reranker(surprise=surprise)
    found = reranker.log_likelihoods(torch.tensor(HISTORY), torch.tensor(CANDIDATES))
    torch.testing.assert_close(found, reranker.log_likelihoods(HISTORY, CANDIDATES))
    assert len(reranker._alone) == (4 if surprise else 0)
    ranked = reranker.rerank(torch.tensor(HISTORY), torch.tensor(CANDIDATES))
    assert ranked.tolist() == reranker.rerank(HISTORY, CANDIDATES).tolist()


@pytest.mark.parametrize("item", [-2, 8])
def test_items_that_are_not_in_the_catalogue_are_refused(item):
    with pytest.raises(
        FusionlabError, match=f"history: found item {item}, expected rows from 0 to"
    ):
        small_reranker().rerank([0, item], CANDIDATES)
    with pytest.raises(FusionlabError, match=f"candidates: found item {item}"):
        small_reranker().rerank(HISTORY, [0, item])


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (torch.zeros(3), r"found \(3,\) scores, .*each of 4 candidates"),
        (torch.zeros(4, 1), r"found \(4, 1\) scores"),
        (torch.tensor([0, 1, math.nan, 2]), "1 are not finite"),
        (torch.tensor([0, 1, math.inf, 2]), "1 are not finite"),
    ],
)
def test_base_scores_that_are_not_one_finite_number_a_candidate_are_refused(base, said):
    with pytest.raises(FusionlabError, match=f"base: .*{said}|base: {said}"):
        small_reranker().rerank(HISTORY, CANDIDATES, base, 0.5)


@pytest.mark.parametrize("option", ["history", "max_tokens", "block"])
def test_options_below_one_are_refused(option):
    with pytest.raises(FusionlabError, match=f"{option}: found 0, expected at least 1"):
        small_reranker(**{option: 0})


def test_soft_tokens_of_other_items_or_width_are_refused():
    with pytest.raises(FusionlabError, match="soft: found soft tokens of 7 items, expected 8"):
        small_reranker(soft=[torch.zeros(1, 16)] * 7)
    with pytest.raises(
        FusionlabError, match=r"soft: row 7: found shape \(1, 8\), expected \(S, 16"
    ):
        small_reranker(soft=[torch.zeros(1, 16)] * 7 + [torch.zeros(1, 8)])


def test_weights_without_base_scores_and_out_of_range_are_refused():
    reranker = LlmReranker(tiny("llama"), TEXTS, prompt=PROMPT, history=2, max_tokens=10)
    with pytest.raises(FusionlabError, match="without base scores"):
        reranker.rerank(HISTORY, CANDIDATES, weight=0.5)
    with pytest.raises(FusionlabError, match=r"weight: found 1\.5"):
        reranker.rerank(HISTORY, CANDIDATES, torch.zeros(4), 1.5)


@pytest.mark.slow
def test_smollm2_by_the_cache_and_as_a_whole_and_knows_what_belongs_together():
    lm = smollm2()
    films = ["Toy Story", "Aladdin", "The Lion King", "Scarface", "Goodfellas", "The Godfather"]
    reranker = LlmReranker(lm, films, surprise=True)
    children, crime = (reranker.log_likelihoods(history, [2, 5]) for history in ([0, 1], [3, 4]))
    assert children[0] - children[1] > crime[0] - crime[1]

    plain = LlmReranker(lm, films, block=2)
    found = plain.log_likelihoods([0, 1], [2, 3, 5])
    for item, value in zip([2, 3, 5], found.tolist(), strict=True):
        text = "What one person likes:\n- Toy Story\n- Aladdin\n-"
        ids = [*lm.tokens(text, start=True), *lm.tokens(f" {films[item]}")]
        with torch.no_grad():
            logits = lm.causal(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        count = len(lm.tokens(f" {films[item]}"))
        steps = logits.log_softmax(-1)[-count - 1 : -1]
        expected = steps[torch.arange(count), torch.tensor(ids[-count:])].mean()
        assert value == pytest.approx(expected.item(), rel=1e-4)


def test_a_prompt_without_a_beginning_is_refused():
    lm, prompt = tiny("gpt2"), Prompt(intro="", line="{text}\n")
    lm.tokenizer.bos_token = None  # as Qwen's is
    with pytest.raises(FusionlabError, match="found no token before the first text, expected an"):
        LlmReranker(lm, TEXTS, prompt=prompt)
