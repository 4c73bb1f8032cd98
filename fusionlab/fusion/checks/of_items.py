"""Checks of `Fusion.forward`: item features in, item views out."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.features import ItemFeatures
from fusionlab.fusion.checks.subject import B, D, Subject
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
    """Views are sums of functions of single modalities exactly where ``additive`` says so.

    For such a sum f(a, b) - f(a', b) - f(a, b') + f(a', b') is zero, whatever the modalities; here
    b is the last modality and a all others, with every modality present. A strategy of the decision
    level may join modalities in `combine`, so only its promise to be additive is held against it.
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
    ours, left, right, both = (fusion(items).views for items in mixed)
    interaction = (ours - left - right + both).abs().max().item()
    if fusion.additive:
        assert interaction < 1e-9, (
            f"calls itself additive, but joins modalities ({interaction:.1e})"
        )
    elif fusion.level is not Level.DECISION:
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
    fusion, items = subject.build(), subject.items()
    for name in list(subject.specs)[: subject.modalities - 1]:
        others = [other for other in subject.specs if other != name]
        _assert_same(fusion(items.only(others)), fusion(items.without_columns([name])), name)


def rows_are_independent(subject: Subject) -> None:
    """A subset or a permutation of the batch gives the same rows, to 1e-6."""
    fusion, items = subject.build(), subject.items()
    rows = torch.tensor([7, 3, 0, 11, 4])
    whole, part = fusion(items), fusion(items.take(rows))
    assert torch.allclose(whole.views[rows], part.views, atol=1e-6), "views depend on the batch"
    assert torch.equal(whole.present[rows], part.present)


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
    other: Fusion = subject.part.build(subject.specs, D)
    other.load_state_dict(torch.load(file, weights_only=True))
    _assert_same(fusion(items), other.eval()(items), "output after loading")


def types_move(subject: Subject) -> None:
    """The strategy follows a move to float64 and to bfloat16."""
    items, reference = subject.items(), subject.build()(subject.items()).views
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.25)):
        views = subject.build().to(dtype)(items.to(dtype=dtype)).views
        assert views.dtype == dtype, f"views of type {views.dtype} from inputs of type {dtype}"
        worst = (views.float() - reference).abs().max() / reference.abs().max().clamp(min=1)
        assert worst < tolerance, f"views in {dtype} differ by {worst:.2g}"


def overfits(subject: Subject) -> None:
    """Eight items with distinct classes can be told apart by a linear head after training.

    A strategy whose views train on their own is given their losses instead of the combined one.
    """
    items = subject.items(40).take(torch.arange(40))
    full = torch.stack([items.present(name) for name in subject.specs], 1).all(1)
    items = items.take(full.nonzero().flatten()[:8])
    fusion = subject.build()
    if not fusion.trainable:
        return
    classes = torch.arange(len(items))
    head = torch.randn(fusion.n_views, D, len(items), requires_grad=True)
    optimizer = torch.optim.Adam([*fusion.train().parameters(), head], lr=0.02)
    for _ in range(600):
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


def _with_gradients(items: ItemFeatures) -> ItemFeatures:
    """The same items, with values that collect gradients."""
    values = {name: x.detach().clone().requires_grad_() for name, x in items.values.items()}
    return ItemFeatures(values, items.mask)


def _loss(fused: FusedItems, fusion: Fusion | None = None) -> Tensor:
    """A scalar that every parameter moves: views, penalty and (given a fusion) combination."""
    draw = torch.Generator().manual_seed(3)
    query = torch.randn(4, *fused.views.shape[1:], generator=draw)
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
