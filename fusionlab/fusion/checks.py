"""The contract as checks that any strategy can be held against, in tests and on the command line.

Each check takes a `Subject` (a strategy and a number of modalities) and raises AssertionError with
what is wrong.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fusionlab.data.features import FeatureSpec, ItemFeatures
from fusionlab.fusion.contract import FUSIONS, FusedItems, Fusion, Level, Objective
from fusionlab.registry import Part

B, D = 12, 16
SPECS = {
    "text": FeatureSpec(6, 3),
    "image": FeatureSpec(5, 2),
    "audio": FeatureSpec(4, 4),
    "touch": FeatureSpec(7, 2),
}


@dataclass(frozen=True)
class Subject:
    """A strategy under test with ``modalities`` of the four in `SPECS`."""

    part: Part
    modalities: int

    @property
    def specs(self) -> dict[str, FeatureSpec]:
        """The first ``modalities`` specs."""
        return dict(list(SPECS.items())[: self.modalities])

    def items(self, n: int = B, seed: int = 0) -> ItemFeatures:
        """Random items; tokens and whole modalities are missing at random; item 0 has nothing."""
        draw = torch.Generator().manual_seed(seed)
        values, mask = {}, {}
        for name, spec in self.specs.items():
            values[name] = torch.randn(n, spec.tokens, spec.dim, generator=draw)
            on = torch.rand(n, spec.tokens, generator=draw) > 0.3
            there = torch.rand(n, generator=draw) > 0.3
            there[:2] = torch.tensor([False, True])
            on[:, 0] |= there
            mask[name] = on & there[:, None]
        return ItemFeatures(values, mask)

    def build(self, seed: int = 0) -> Fusion:
        """A freshly initialised strategy, closed-form parts fitted, in evaluation mode."""
        torch.manual_seed(seed)
        fusion: Fusion = self.part.build(self.specs, D)
        fusion.fit(self.items(64, seed=1).take(torch.arange(1, 64)))
        return fusion.eval()


@dataclass(frozen=True)
class CheckResult:
    """One check of one strategy; ``problem`` is empty where it holds."""

    fusion: str
    check: str
    problem: str = ""


Check = Callable[[Subject], None]
CHECKS: dict[str, Check] = {}


def _check(check: Check) -> Check:
    CHECKS[check.__name__] = check
    return check


def check_all(names: Sequence[str]) -> list[CheckResult]:
    """Hold each named strategy against each check, with one to four modalities."""
    return [
        CheckResult(name, label, _problem(check, FUSIONS.parse(name)))
        for name in names
        for label, check in CHECKS.items()
    ]


def _problem(check: Check, part: Part) -> str:
    for modalities in range(1, len(SPECS) + 1):
        try:
            check(Subject(part, modalities))
        except Exception as error:  # whatever a plug-in raises is its result here
            return f"with {modalities} modalities: {type(error).__name__}: {error}"
    return ""


@_check
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


@_check
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


@_check
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


@_check
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


@_check
def masked_is_never_there(subject: Subject) -> None:
    """A modality that is masked everywhere equals a modality the catalogue never had, bitwise."""
    fusion, items = subject.build(), subject.items()
    for name in list(subject.specs)[: subject.modalities - 1]:
        others = [other for other in subject.specs if other != name]
        _assert_same(fusion(items.only(others)), fusion(items.without_columns([name])), name)


@_check
def rows_are_independent(subject: Subject) -> None:
    """A subset or a permutation of the batch gives the same rows, to 1e-6."""
    fusion, items = subject.build(), subject.items()
    rows = torch.tensor([7, 3, 0, 11, 4])
    whole, part = fusion(items), fusion(items.take(rows))
    assert torch.allclose(whole.views[rows], part.views, atol=1e-6), "views depend on the batch"
    assert torch.equal(whole.present[rows], part.present)


@_check
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


@_check
def saves_and_loads(subject: Subject) -> None:
    """A saved state gives the same output in a strategy that was built from another seed."""
    fusion, items = subject.build(), subject.items()
    file = io.BytesIO()
    torch.save(fusion.state_dict(), file)
    file.seek(0)
    other: Fusion = subject.part.build(subject.specs, D)
    other.load_state_dict(torch.load(file, weights_only=True))
    _assert_same(fusion(items), other.eval()(items), "output after loading")


@_check
def types_move(subject: Subject) -> None:
    """The strategy follows a move to float64 and to bfloat16."""
    items, reference = subject.items(), subject.build()(subject.items()).views
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.bfloat16, 0.25)):
        views = subject.build().to(dtype)(items.to(dtype=dtype)).views
        assert views.dtype == dtype, f"views of type {views.dtype} from inputs of type {dtype}"
        worst = (views.float() - reference).abs().max() / reference.abs().max().clamp(min=1)
        assert worst < tolerance, f"views in {dtype} differ by {worst:.2g}"


@_check
def order_of_modalities(subject: Subject) -> None:
    """A strategy that calls itself symmetric gives the same views and scores in any order."""
    fusion, _, query, scores, present = _scored(subject)
    if not fusion.symmetric:
        return
    turned: Fusion = subject.part.build(dict(reversed(subject.specs.items())), D)
    turned.load_state_dict(fusion.state_dict())
    views, other = fusion(subject.items()).views, turned.eval()(subject.items()).views
    other = other.flip(1) if fusion.level is Level.DECISION else other
    assert torch.allclose(views, other, atol=1e-5), "the order of the modalities changes the views"
    if fusion.level is not Level.DECISION:
        return
    combined = fusion.combine(scores, query, present)
    other = turned.combine(scores.flip(-1), query.flip(-2), present.flip(-1))
    assert torch.allclose(combined, other, atol=1e-5), "the order changes the combined scores"


@_check
def weights_are_shares(subject: Subject) -> None:
    """View weights are zero where absent and sum to one over the views that are present."""
    fusion, _, query, scores, present = _scored(subject)
    weights = fusion.view_weights(scores, query, present)
    assert weights.shape == scores.shape, f"weights are {tuple(weights.shape)}"
    assert (weights[~present] == 0).all(), "an absent view has a weight"
    total = weights.sum(-1)
    assert torch.allclose(total, present.any(-1).to(total.dtype), atol=1e-5), (
        "weights do not sum to 1"
    )
    assert fusion.combine(scores, query, present).shape == scores.shape[:-1]


@_check
def folded_is_combined(subject: Subject) -> None:
    """Weights folded into the item views give the combined scores to 1e-6."""
    fusion, fused, query, scores, present = _scored(subject)
    weights = fusion.fold(fused.present)
    if weights is None:
        return
    folded = query.flatten(1) @ (fused.views * weights[..., None]).flatten(1).T
    assert torch.allclose(folded, fusion.combine(scores, query, present), atol=1e-5, rtol=1e-5)


@_check
def users_are_independent(subject: Subject) -> None:
    """A user's scores may depend on the list of candidates, but not on who is scored beside."""
    fusion, _, query, scores, present = _scored(subject)
    rows = torch.tensor([3, 1])
    whole = fusion.combine(scores, query, present)[rows]
    part = fusion.combine(scores[rows], query[rows], present[rows])
    assert torch.allclose(whole, part, atol=1e-6), "scores depend on the block of users"


@_check
def candidates_move(subject: Subject) -> None:
    """Permuting the candidates permutes their scores (where no two are equal)."""
    fusion, _, query, scores, present = _scored(subject)
    order = torch.randperm(B, generator=torch.Generator().manual_seed(4))
    whole = fusion.combine(scores, query, present)[:, order]
    moved = fusion.combine(scores[:, order], query, present[:, order])
    assert torch.allclose(whole, moved, atol=1e-5), "scores depend on the order of the candidates"


@_check
def extremes_are_finite(subject: Subject) -> None:
    """Zero and huge scores, and a zero query, give finite scores, shares and gradients."""
    fusion, _, query, scores, present = _scored(subject)
    for scale in (0.0, 1e4):
        s, q = (scores * scale).requires_grad_(), (query * scale).requires_grad_()
        combined = fusion.combine(s, q, present)
        assert combined.isfinite().all(), f"scores scaled by {scale:g} combine to no finite number"
        shares = fusion.view_weights(s, q, present).sum(-1)
        assert torch.allclose(shares, present.any(-1).to(shares.dtype), atol=1e-5), (
            f"with scores scaled by {scale:g} the weights do not sum to 1"
        )
        if combined.requires_grad:
            combined.square().sum().backward()
            for given in (s, q):
                assert given.grad is None or given.grad.isfinite().all(), "a gradient is not finite"


@_check
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


def _scored(subject: Subject) -> tuple[Fusion, FusedItems, Tensor, Tensor, Tensor]:
    """A strategy, its items, and five users' scores by view."""
    fusion = subject.build()
    with torch.no_grad():
        fused = fusion(subject.items())
    draw = torch.Generator().manual_seed(2)
    query = torch.randn(5, fusion.n_views, D, generator=draw)
    scores = torch.einsum("bkd,nkd->bnk", query, fused.views)
    return fusion, fused, query, scores, fused.present.expand(scores.shape)


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
