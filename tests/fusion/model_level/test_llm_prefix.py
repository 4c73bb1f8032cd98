"""`llm_prefix` against a plain reading of each item, and what it promises of the model.

The language model is the tiny random one; tests/llm holds the checks of models themselves."""

import copy
import io

import pytest
import torch
from tiny_prefix import DIM, LORA, VOCABULARY, build, catalogue, parse

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.errors import FusionlabError
from fusionlab.fusion.checks import CHECKS, hold
from fusionlab.fusion.projectors import PROJECTORS


def has_something(items):
    return torch.stack([items.present(name) for name in items.modalities], 1).any(1)


def read_alone(fusion, items, row, read_out):
    """The view of one item: its tokens put in a row and read by the model, nothing kept."""
    llm = fusion.llm
    ids = llm.tokens("Item:", start=True)
    first = len(ids)
    ids += items.values["text"][row, items.mask["text"][row], 0].tolist()
    tokens = [llm.embed(torch.tensor(ids))]
    for name in ("image", "audio"):
        on = items.mask[name][row]
        if on.any():
            found = fusion.soft.project[name](items.values[name][row : row + 1], on[None])
            tokens.append(fusion.soft.norm[name](found)[0] + fusion.soft.mark[name])
    if fusion.query is not None:
        tokens.append(fusion.query[None])
    read = torch.cat(tokens)[None]
    states = llm.base(inputs_embeds=read).last_hidden_state[0]
    found = 0
    written, heard = states[first : len(ids)], states[len(ids) :]
    for part, reads in ((written, fusion.text), (heard, fusion.heard)):
        if len(part):
            found = found + reads(part.mean(0) if read_out == "mean" else part[-1])
    return found


def fitted(fusion, items):
    fusion.fit(items)
    return fusion


@pytest.mark.parametrize("read_out", ["last", "mean", "query"])
@pytest.mark.parametrize("projector", PROJECTORS)
def test_views_are_those_of_items_read_alone(read_out, projector):
    items = catalogue()
    fusion = fitted(build(read_out=read_out, projector=projector, tokens=3, batch=4), items)
    fused = fusion(items)
    has = has_something(items)
    assert torch.equal(fused.present[:, 0], has)
    assert (fused.views[~has] == 0).all()
    for row in has.nonzero()[:, 0].tolist():
        wanted = read_alone(fusion, items, row, read_out)
        assert torch.allclose(fused.views[row, 0], wanted, atol=2e-5), row


def test_ids_behind_the_mask_are_not_read():
    items, fusion = catalogue(), build()
    other = items.values["text"].masked_fill(~items.mask["text"][..., None], 200)
    changed = ItemFeatures(items.values | {"text": other}, items.mask, items.vocabulary)
    assert torch.equal(fusion(items).views, fusion(changed).views)


@pytest.mark.parametrize("gone", ["text", "image", "audio"])
def test_a_masked_modality_was_never_there(gone):
    items, fusion = catalogue(), build()
    left = [name for name in items.modalities if name != gone]
    masked, never = fusion(items.only(left)), fusion(items.without_columns([gone]))
    assert torch.equal(masked.views, never.views)
    assert torch.equal(masked.present, never.present)


def test_text_states_are_standardised_over_train_items_that_have_text():
    items = catalogue(40)
    fusion = fitted(build(), items)
    written = items.take(items.present("text").nonzero()[:, 0]).only(["text"])
    states = fusion.states(written)[:, 0]
    found = (states - fusion.text.mean) / fusion.text.deviation
    torch.testing.assert_close(found.mean(0), torch.zeros(found.shape[1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(found.shape[1]), atol=1e-3, rtol=0)
    state = fusion.state_dict()
    assert torch.equal(state["text.mean"], fusion.text.mean)
    other = items.only(["text", "image"])  # what stands beside the text changes nothing of it
    assert torch.equal(fitted(build(), other).text.mean, fusion.text.mean)


@pytest.mark.skipif(not LORA, reason="pip install 'fusionlab-recsys[lora]'")
@pytest.mark.parametrize("read_out", ["last", "mean", "query"])
def test_a_model_with_lora_that_changes_nothing_reads_what_a_frozen_one_reads(read_out):
    items = catalogue()
    frozen, trained = build(read_out=read_out), build(read_out=read_out, lora_rank=2)
    trained.soft.load_state_dict(frozen.soft.state_dict())
    if frozen.query is not None:
        trained.query.data.copy_(frozen.query)
    written = items.take(has_something(items).nonzero()[:, 0])
    both = (fusion.states(written) for fusion in (frozen, trained))
    torch.testing.assert_close(*both, atol=2e-5, rtol=0)


def test_a_permuted_batch_gives_permuted_views():
    items, fusion = catalogue(24), build(batch=5)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(fusion(items.take(order)).views, fusion(items).views[order], atol=1e-5)


@pytest.mark.parametrize("name", ["text", "image", "audio"])
def test_shuffling_a_modality_changes_the_items_that_have_it(name):
    items, fusion = catalogue(24), build()
    order = torch.arange(24).roll(1)
    values = items.values | {name: items.values[name][order]}
    mask = items.mask | {name: items.mask[name][order]}
    moved = fusion(ItemFeatures(values, mask, items.vocabulary)).views
    same = (moved - fusion(items).views).abs().amax((1, 2)) < 1e-6
    touched = items.present(name) | mask[name].any(1)
    assert torch.equal(same, ~touched)


def test_the_state_is_small_and_holds_no_weight_of_the_model():
    fusion = build()
    file = io.BytesIO()
    torch.save(fusion.state_dict(), file)
    own = sum(p.numel() for p in fusion.parameters() if p.requires_grad)
    moments = 2 * fusion.llm.width
    assert sum(x.numel() for x in fusion.state_dict().values()) == own + moments
    theirs = {x.data_ptr() for x in fusion.llm.causal.state_dict().values()}
    assert not theirs & {x.data_ptr() for x in fusion.state_dict().values()}
    assert len(file.getvalue()) < 4 * own + 20_000


def test_strategies_of_a_process_share_the_model_and_what_it_read():
    first, second = build(), build(projector="linear", seed=1)
    assert first.llm is second.llm
    first(catalogue(seed=9))
    computed = first._reader.cache.computed
    second(catalogue(seed=9))
    assert second._reader.cache.computed == computed
    assert build(layers=2).llm is not first.llm


def test_soft_tokens_start_as_long_as_embeddings():
    fusion = build(projector="linear")
    items = catalogue(200)
    tokens = fusion.soft(items)[0][0] - fusion.soft.mark["image"]
    there = items.present("image")
    assert torch.allclose(tokens[there].norm(dim=-1), torch.tensor(fusion.llm.norm), rtol=1e-3)
    embeddings = fusion.llm.embeddings
    assert fusion.llm.norm == pytest.approx(embeddings.norm(dim=1).mean().item(), rel=1e-5)


def test_soft_tokens_of_an_item_are_those_of_what_it_has():
    items = catalogue()
    fusion = build(items, tokens=3)
    found = fusion.soft_tokens(items)
    for row, tokens in enumerate(found):
        has = [name for name in ("image", "audio") if items.present(name)[row]]
        lacks = {"text", "image", "audio"} - {*has}
        alone, _ = fusion.soft(items.take(torch.tensor([row])).without_columns(lacks))
        assert tokens.shape == (3 * len(has), fusion.llm.width)
        torch.testing.assert_close(tokens, torch.cat([*alone, tokens[:0][None]], 1)[0])
    alone = items.without_columns(["image", "audio"])
    assert build(alone).soft_tokens(alone)[1].shape == (0, fusion.llm.width)


def test_a_modality_owns_its_projector_and_text_has_none():
    fusion = build()
    image, audio = ({id(p) for p in fusion.modality_parameters(m)} for m in ("image", "audio"))
    assert image
    assert audio
    assert not image & audio
    assert not list(fusion.modality_parameters("text"))


def test_another_vocabulary_is_refused():
    specs = {"title": FeatureSpec(1, 6, 30_522), "image": FeatureSpec(5)}
    with pytest.raises(FusionlabError, match=r"'title' holds ids of one with 30,522.*text_tokens"):
        parse().build(specs, DIM)


def test_more_than_the_model_reads_is_refused():
    with pytest.raises(FusionlabError, match=r"reads 512 tokens.*come to 517"):
        parse().build({"title": FeatureSpec(1, 510, VOCABULARY), "image": FeatureSpec(5)}, DIM)


def test_a_batch_without_anything_has_no_views():
    items = catalogue().take(torch.tensor([0, 0]))
    fused = build()(items)
    assert not fused.present.any()
    assert (fused.views == 0).all()


def test_a_copy_shares_the_language_model():
    fusion = build()
    other = copy.deepcopy(fusion)
    assert other.llm is fusion.llm
    assert other._reader is not fusion._reader
    mine = {p.data_ptr() for p in fusion.parameters()}
    assert not mine & {p.data_ptr() for p in other.parameters()}
    assert torch.equal(other(catalogue()).views, fusion(catalogue()).views)


OPTIONS: list[dict[str, object]] = [
    {"projector": "linear", "tokens": 1, "layers": 2},
    {"projector": "resampler", "read_out": "mean"},
    {"read_out": "query", "batch": 3, "checkpointing": True},
    {"prompt": "", "read_out": "mean"},
]
if LORA:
    OPTIONS.append({"lora_rank": 1})


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_contract_away_from_the_defaults(options, check):
    if options == {"lora_rank": 1} and check is CHECKS["parameters_learn"]:
        pytest.skip(
            "one half of each pair is at rest while the other is zero: tests/llm/test_lora.py"
        )
    hold(check, parse(**options), [3])
