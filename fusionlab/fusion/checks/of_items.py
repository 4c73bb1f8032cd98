"""Checks of `Fusion.forward`: item features in, item views out."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.checks.subject import B, D, Subject, assert_close
from fusionlab.fusion.contract import FusedItems, Fusion, Level, Objective


def shapes(subject: Subject) -> None:
    """Views are (B, K, D), presence (B, K) bool, a penalty (B,); all finite, absent views zero."""
    fusion = subject.build()
    fused = fusion(subject.items())
    assert fused.views.shape == (B, fusion.n_views, D), f"views are {tuple(fused.views.shape)}"
    assert fused.present.shape == (B, fusion.n_views)
    assert fused.present.dtype == torch.bool, f"present is {fused.present.dtype}"
    assert fused.penalty is None or fused.penalty.shape == (B,), "penalty is not one an item"
    assert fused.views.isfinite().all(), "views are not finite"
    assert not fused.present[0].any(), "an item with no modality has a view"
    assert (fused.views[~fused.present] == 0).all(), "an absent view is not zero"


def declares_itself(subject: Subject) -> None:
    """Level, additivity and what the views are are stated, and agree."""
    fusion = subject.build()
    assert isinstance(fusion.level, Level), "level is not a Level"
    assert isinstance(fusion.additive, bool), "additive is not stated"
    names, modalities = fusion.view_names, tuple(subject.specs)
    assert fusion.n_views == len(names) == len(set(names)) > 0, f"views are called {names}"
    if fusion.level is Level.DECISION:
        assert names == modalities, f"views are {names}, expected the modalities {modalities}"
    else:
        assert not set(names) & set(modalities), f"views {names} bear the names of modalities"


def additive_is_true(subject: Subject) -> None:
    """Views and scores are sums of functions of single modalities just where ``additive`` says so.

    For such a sum f(a, b) - f(a', b) - f(a, b') + f(a', b') is zero, whatever the modalities; here
    b is the last modality and a all others, of all items at once (a function of a modality may read
    it in the whole list of candidates), with every modality present. f is the views, the combined
    scores of the items for users, and the combined scores of classes for the items, which then are
    the query (`Classifier`). A sum shows in none of them an interaction, another strategy in one at
    least. The claim is exact, so it is tested in float64 whatever the type of the subject.
    """
    if subject.modalities == 1:
        return
    fusion = subject.build().double()
    first, second = (_complete(subject, seed) for seed in (4, 5))
    last = list(subject.specs)[-1]
    mixed = [
        ItemFeatures({**x.values, last: y.values[last]}, x.mask)
        for x, y in ((first, first), (second, first), (first, second), (second, second))
    ]
    found = {}
    for what, f in {"views": _views, "ranking": _ranking, "classifying": _classifying}.items():
        ours, left, right, both = (f(fusion, items) for items in mixed)
        found[what] = (ours - left - right + both).abs().max().item()
    where, interaction = max(found.items(), key=lambda pair: pair[1])
    if fusion.additive:
        problem = f"calls itself additive, but joins modalities ({where}: {interaction:.1e})"
        assert interaction < 1e-9, problem
    else:
        assert interaction > 1e-9, "does not call itself additive, but never joins modalities"


def nothing_behind_the_mask(subject: Subject) -> None:
    """NaN behind a false mask changes neither a bit of the output nor one of the gradients, those
    of the inputs included (an encoder may be trained through the strategy)."""
    items = _with_gradients(subject.items())
    poisoned = _with_gradients(
        ItemFeatures(
            {
                n: torch.where(items.mask[n][..., None], x, torch.nan)
                for n, x in items.values.items()
            },
            items.mask,
        )
    )
    first, second = subject.build(), subject.build()
    _assert_same(first(items), second(poisoned), "output")
    for fusion, given in ((first, items), (second, poisoned)):
        _loss(fusion(given)).backward()
    pairs = zip(first.named_parameters(), second.named_parameters(), strict=True)
    for (name, p), (_, q) in pairs:
        assert _same(p.grad, q.grad), f"the gradient of {name} depends on masked values"
    for name, x in items.values.items():
        grad = poisoned.values[name].grad
        assert _same(x.grad, grad), f"the gradient of input {name} depends on masked values"


def masked_is_never_there(subject: Subject) -> None:
    """A modality that is masked everywhere equals a modality the catalogue never had, bitwise."""
    _assert_never_there(subject.build(), subject.items())


def rows_are_independent(subject: Subject) -> None:
    """A subset or a permutation of the batch gives the same rows, up to rounding."""
    fusion, items = subject.build(), subject.items()
    rows = torch.tensor([7, 3, 0, 11, 4])
    whole, part = fusion(items), fusion(items.take(rows))
    assert_close(part.views, whole.views[rows], subject.dtype, "views depend on the batch")
    assert torch.equal(whole.present[rows], part.present)


def modality_weights_are_shares(subject: Subject) -> None:
    """What a strategy tells of its weights of modalities is zero where absent and sums to one."""
    fusion, items = subject.build(), subject.items()
    weights = fusion.modality_weights(items)
    if weights is None:
        return
    present = torch.stack([items.present(name) for name in subject.specs], 1)
    assert weights.shape == present.shape, f"modality weights are {tuple(weights.shape)}"
    assert (weights[~present] == 0).all(), "an absent modality has a weight"
    total = weights.double().sum(-1)
    assert_close(total, present.any(-1), subject.dtype, "modality weights do not sum to 1")


def parameters_learn(subject: Subject) -> None:
    """Every trainable parameter is in the state, receives a gradient and moves in a step."""
    fusion = subject.build().train()
    parameters = {name: p for name, p in fusion.named_parameters() if p.requires_grad}
    assert bool(parameters) == fusion.trainable, "trainable is not stated truly"
    if subject.modalities == 1 or not parameters:
        return
    assert parameters.keys() <= fusion.state_dict().keys()
    before = {name: p.detach().clone() for name, p in parameters.items()}
    optimizer = torch.optim.SGD(parameters.values(), lr=1.0)
    _loss(fusion(subject.items(64)), fusion).backward()
    optimizer.step()
    for name, p in parameters.items():
        assert p.grad is not None, f"{name} receives no gradient"
        assert not torch.equal(p, before[name]), f"{name} does not move"


def saves_and_loads(subject: Subject) -> None:
    """A saved state gives the same output in a strategy that was built from another seed."""
    fusion, items = subject.build(), subject.items()
    file = io.BytesIO()
    torch.save(fusion.state_dict(), file)
    file.seek(0)
    other = subject.unfitted()
    other.load_state_dict(torch.load(file, weights_only=True))
    _assert_same(fusion(items), other(items), "output after loading")


def types_move(subject: Subject) -> None:
    """The strategy computes in its own type what the same weights give in float64."""
    fusion, items = subject.build(), subject.items()
    fused = fusion(items)
    assert fused.views.dtype == subject.dtype, f"views of type {fused.views.dtype}"
    exact = fusion.double()(items.to(dtype=torch.float64))
    assert exact.views.dtype == torch.float64, f"views of type {exact.views.dtype} in float64"
    _assert_follows(fused, exact, subject.dtype)


def types_mix(subject: Subject) -> None:
    """Weights in float32 take features of the subject's type, also under autocast to bfloat16.

    These are the settings ``features`` and ``precision`` of a run. Views are those of float64 up to
    rounding in the type that is computed in, gradients are finite, and a modality that is masked
    everywhere still equals one that was never there.
    """
    fusion, items = subject.build(weights=torch.float32), subject.items()
    exact = subject.build(weights=torch.float64)(items.to(dtype=torch.float64))
    fused = fusion(items)
    assert fused.views.dtype == torch.float32, f"views of type {fused.views.dtype}"
    _assert_follows(fused, exact, subject.dtype)
    with torch.autocast("cpu", torch.bfloat16):
        fused = fusion(items)
        loss = _loss(fused, fusion)
        _assert_never_there(fusion, items)
    _assert_follows(fused, exact, torch.bfloat16)
    if not fusion.trainable:
        return
    loss.backward()
    for name, p in fusion.named_parameters():
        finite = p.grad is None or p.grad.isfinite().all()
        assert finite, f"under autocast the gradient of {name} is not finite"


def overfits(subject: Subject) -> None:
    """Eight items with distinct classes can be told apart by a linear head after training.

    A strategy whose views train on their own is given their losses instead of the combined one.
    The weights stay in float32, as in a run: bfloat16 means features stored in it, and autocast.
    """
    items = subject.items(40).take(torch.arange(40))
    full = torch.stack([items.present(name) for name in subject.specs], 1).all(1)
    items = items.take(full.nonzero().flatten()[:8])
    fusion = subject.build(weights=torch.float32)
    if not fusion.trainable:
        return
    classes = torch.arange(len(items))
    head = torch.randn(fusion.n_views, D, len(items), requires_grad=True)
    optimizer = torch.optim.Adam([*fusion.train().parameters(), head], lr=0.02)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=subject.dtype is torch.bfloat16)
    for _ in range(600):
        with autocast:
            fused = fusion(items)
            logits = torch.einsum("bkd,kdc->bck", fused.views, head)
            present = fused.present[:, None].expand(logits.shape)
            combined = fusion.combine(logits, fused.views, present)
            if fusion.objective is Objective.VIEWS:
                loss = F.cross_entropy(logits, classes[:, None].expand(-1, fusion.n_views))
            else:
                loss = F.cross_entropy(combined, classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (combined.argmax(1) == classes).all() and loss < 0.1:
            return
    raise AssertionError(f"after 600 steps the loss is still {loss.item():.3f}")


def _complete(subject: Subject, seed: int) -> ItemFeatures:
    """Random items in float64 that have every token of every modality."""
    items = subject.items(seed=seed).to(dtype=torch.float64)
    return ItemFeatures(items.values, {n: torch.ones_like(on) for n, on in items.mask.items()})


def _views(fusion: Fusion, items: ItemFeatures) -> Tensor:
    return fusion(items).views


def _ranking(fusion: Fusion, items: ItemFeatures) -> Tensor:
    """Combined scores (4, B) of the items as candidates, for four users."""
    fused = fusion(items)
    query = _draw(4, fusion.n_views, D).to(fused.views.dtype)
    scores = torch.einsum("ukd,bkd->ubk", query, fused.views)
    return fusion.combine(scores, query, fused.present.expand(scores.shape))


def _classifying(fusion: Fusion, items: ItemFeatures) -> Tensor:
    """Combined scores (B, 4) of four classes, each item being its own query."""
    fused = fusion(items)
    heads = _draw(4, fusion.n_views, D).to(fused.views.dtype)
    logits = torch.einsum("bkd,ckd->bck", fused.views, heads)
    return fusion.combine(logits, fused.views, fused.present[:, None].expand(logits.shape))


def _draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def _assert_never_there(fusion: Fusion, items: ItemFeatures) -> None:
    """Each modality but the last, masked everywhere, gives the bits of a catalogue without it."""
    for name in items.modalities[:-1]:
        others = [other for other in items.modalities if other != name]
        _assert_same(fusion(items.only(others)), fusion(items.without_columns([name])), name)


def _assert_follows(fused: FusedItems, exact: FusedItems, dtype: torch.dtype) -> None:
    """Views are those of float64, up to rounding in ``dtype``.

    A router that sends items to some of its views decides by a rounding where two are nearly equal;
    so items need only have the same views mostly, and are compared where they do.
    """
    same = (fused.present == exact.present).all(1)
    assert 2 * same.sum() > len(same), f"computed in {dtype}, most items have other views"
    problem = "views are not those of float64"
    assert_close(fused.views[same], exact.views[same], dtype, problem)


def _with_gradients(items: ItemFeatures) -> ItemFeatures:
    """The same items, with values that collect gradients."""
    values = {name: x.detach().clone().requires_grad_() for name, x in items.values.items()}
    return ItemFeatures(values, items.mask)


def _loss(fused: FusedItems, fusion: Fusion | None = None) -> Tensor:
    """A scalar that every parameter moves: views, penalty and (given a fusion) combination."""
    draw = torch.Generator().manual_seed(3)
    query = torch.randn(4, *fused.views.shape[1:], generator=draw).to(fused.views.dtype)
    total = (fused.views * torch.randn(fused.views.shape, generator=draw)).sum()
    if fused.penalty is not None:
        total = total + fused.penalty.sum()
    if fusion is not None:
        scores = torch.einsum("bkd,nkd->bnk", query, fused.views)
        combined = fusion.combine(scores, query, fused.present.expand(scores.shape))
        total = total + (combined * torch.randn(combined.shape, generator=draw)).sum()
    return total


def _assert_same(first: FusedItems, second: FusedItems, what: str) -> None:
    assert torch.equal(first.views, second.views), f"{what}: views differ"
    assert torch.equal(first.present, second.present), f"{what}: presence differs"
    assert _same(first.penalty, second.penalty), f"{what}: penalties differ"


def _same(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.equal(first, second)
