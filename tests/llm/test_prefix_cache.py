"""Prompt and texts read once: the same states as reading all, by content, within a budget."""

import pytest
import torch
from small_models import draw, exact, ids, on

from fusionlab.llm.prefix_cache import PrefixCache

PROMPT = "An item:"
LENGTHS = (6, 2, 0, 4)


@pytest.fixture
def llm(model):
    return exact(model)


def texts(seed=0):
    return ids(len(LENGTHS), max(LENGTHS), seed=seed), on(*LENGTHS)


def whole(llm, prompt, tokens, soft):
    """States of one item's prompt, text and soft tokens, all read at once."""
    start = torch.tensor(llm.tokens(prompt, start=True) + tokens.tolist(), dtype=torch.long)
    read = torch.cat([llm.embed(start), soft])[None]
    states = llm.states(read, torch.ones(1, read.shape[1], dtype=torch.bool))[0]
    return states[len(start) - len(tokens) :]


@pytest.mark.parametrize("prompt", [PROMPT, ""])
def test_after_the_prefix_states_and_gradients_are_those_of_the_whole(llm, prompt):
    tokens, mask = texts()
    found, wanted = (draw(4, 3, 32).requires_grad_() for _ in range(2))
    prefix = PrefixCache(llm, prompt, 10).read(tokens, mask)
    after = llm.states(found, torch.ones(4, 3, dtype=torch.bool), prefix.past)
    each = [whole(llm, prompt, tokens[row][mask[row]], wanted[row]) for row in range(4)]
    last = torch.stack([states[-3:] for states in each])
    assert torch.allclose(after, last, atol=1e-10)
    weights = draw(*after.shape, seed=2)
    (after * weights).sum().backward()
    (last * weights).sum().backward()
    assert torch.allclose(found.grad, wanted.grad, atol=1e-10)
    for row, states in enumerate(each):
        text = states[:-3]
        assert prefix.lengths[row] == len(text)
        assert torch.allclose(prefix.total[row], text.sum(0), atol=1e-10)
        if len(text):
            assert torch.allclose(prefix.last[row], text[-1], atol=1e-10)
        else:
            assert (prefix.last[row] == 0).all()


def test_nothing_at_all_has_no_past(llm):
    tokens, mask = texts()
    prefix = PrefixCache(llm, "", 10).read(tokens[2:3], mask[2:3])
    assert prefix.past is None
    assert prefix.lengths.tolist() == [0]


def test_a_text_is_read_once_and_known_by_its_content(llm):
    cache, (tokens, mask) = PrefixCache(llm, PROMPT, 10), texts()
    first = cache.read(tokens, mask)
    assert cache.computed == 3
    padded = torch.nn.functional.pad(tokens.flip(0), (2, 1), value=9)
    again = cache.read(padded, torch.nn.functional.pad(mask.flip(0), (2, 1)))
    assert cache.computed == 3, "the same ids elsewhere are the same text"
    assert torch.equal(again.last.flip(0), first.last)
    other = tokens.clone()
    other[0, 0] = (other[0, 0] + 1) % 250
    changed = cache.read(other, mask)
    assert cache.computed == 4
    assert not torch.equal(changed.last[0], first.last[0])


def test_the_same_text_twice_in_a_batch_is_read_once(llm):
    cache, (tokens, mask) = PrefixCache(llm, PROMPT, 10), texts()
    prefix = cache.read(tokens[[0, 0, 1]], mask[[0, 0, 1]])
    assert cache.computed == 2
    assert torch.equal(prefix.past.states[:, 0], prefix.past.states[:, 1])


def test_bits_of_a_text_do_not_depend_on_who_is_read_beside_it(llm):
    tokens, mask = texts()
    together = PrefixCache(llm, PROMPT, 10).read(tokens, mask)
    alone = PrefixCache(llm, PROMPT, 10)
    for row in (3, 0, 1):
        one = alone.read(tokens[row : row + 1], mask[row : row + 1])
        assert torch.equal(one.last[0], together.last[row])
        places = one.past.mask.shape[1] - int((~one.past.mask).sum())
        shared = together.past.states[:, row, :, :places]
        assert torch.equal(one.past.states[:, 0, :, :places], shared)


def held(cache):
    """Bytes of the memory that what is kept does not let go."""
    tensors = [x for text in cache.kept.values() for x in (text.states, text.last, text.total)]
    storages = [x.untyped_storage() for x in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def test_what_is_kept_holds_no_more_memory_than_is_counted(llm):
    cache = PrefixCache(llm, PROMPT, 10)
    cache.read(ids(3, 60), torch.ones(3, 60, dtype=torch.bool))
    assert held(cache) == cache.used


def test_a_scan_finds_what_the_budget_holds_each_time(llm, capsys):
    tokens, mask = ids(8, 5), torch.ones(8, 5, dtype=torch.bool)
    size = PrefixCache(llm, PROMPT, 10)
    size.read(tokens[:1], mask[:1])
    cache = PrefixCache(llm, PROMPT, 4.5 * size.used / 1e6)
    for scan in range(3):
        before = cache.computed
        for row in range(8):
            cache.read(tokens[row : row + 1], mask[row : row + 1])
        assert cache.computed - before == (4 if scan else 8)
        assert cache.used == 4 * size.used <= cache.budget
        assert (capsys.readouterr().err != "") == (scan == 1), "said once, when the first is missed"


def test_what_the_budget_does_not_hold_is_said_with_what_all_need(llm, capsys):
    tokens, mask = ids(8, 5), torch.ones(8, 5, dtype=torch.bool)
    size = PrefixCache(llm, PROMPT, 10)
    size.read(tokens[:1], mask[:1])
    cache = PrefixCache(llm, PROMPT, 4.5 * size.used / 1e6)
    for _ in range(2):
        cache.read(tokens, mask)
    need, budget = 8 * size.used / 1e6, cache.budget / 1e6
    assert capsys.readouterr().err == (
        f"fusion.cache_mb: 8 texts need about {need:,.1f} MB, cache_mb holds {budget:,.1f}: 4 of "
        "them are read anew each time\n"
    )


def test_texts_that_an_earlier_reader_was_refused_are_not_counted(llm, capsys):
    tokens, mask = ids(8, 5), torch.ones(8, 5, dtype=torch.bool)
    size = PrefixCache(llm, PROMPT, 10)
    size.read(tokens[:1], mask[:1])
    cache = PrefixCache(llm, PROMPT, 1.5 * size.used / 1e6)
    cache.read(tokens[:5], mask[:5])
    cache.begin()
    for _ in range(2):
        cache.read(tokens[5:], mask[5:])
    assert capsys.readouterr().err.startswith("fusion.cache_mb: 3 texts need")


def test_texts_of_who_read_before_make_room(llm):
    tokens, mask = ids(6, 5), torch.ones(6, 5, dtype=torch.bool)
    size = PrefixCache(llm, PROMPT, 10)
    size.read(tokens[:1], mask[:1])
    cache = PrefixCache(llm, PROMPT, 3.5 * size.used / 1e6)
    cache.read(tokens[:3], mask[:3])
    cache.begin()
    cache.read(tokens[2:6], mask[:4])  # one of the first three is still wanted, two go
    assert cache.computed == 6
    assert cache.used == 3 * size.used
    cache.read(tokens[2:5], mask[:3])
    assert cache.computed == 6


def test_more_texts_than_the_budget_holds_are_read_all_the_same(llm):
    tokens, mask = texts()
    wanted = PrefixCache(llm, PROMPT, 10).read(tokens, mask)
    cache = PrefixCache(llm, PROMPT, 1e-6)
    found = cache.read(tokens, mask)
    assert torch.equal(found.past.states, wanted.past.states)
    assert not cache.kept
    assert cache.used == 0
