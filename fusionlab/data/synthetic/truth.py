"""The right answer: what each coalition of modalities knows, and what the best ranking is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fusionlab.data.synthetic.atoms import Atom, channel
from fusionlab.errors import FusionlabError, one_of

SITUATION = "situation"
"""The context column of a catalogue with situations."""

BLOCK = 2_000_000
"""Scores held at once: every loop over users takes BLOCK / N of them at a time."""


@dataclass(frozen=True)
class Truth:
    """What the generator knows. Shapes: N items, U users, A atoms, M modalities, alphabet k.

    An atom of an item is *known* to a coalition S if S, less the modalities the item lacks, meets
    the atom's modalities (copy) or contains them all (parity). What is known is the clean value
    z; the label y differs from it with the atom's flip rate.

    For classification there are no users (``tastes`` is (0, A, k)) and ``class_of`` is set.

    With S > 1 ``situations`` the copy that modality m alone holds counts for a click in situation
    m mod S and in no other; without a situation every answer is the mean over all.
    """

    modalities: tuple[str, ...]
    alphabet: int
    atoms: tuple[Atom, ...]
    codes: dict[str, Tensor]
    """Modality -> (N, J): its part of each atom that it holds, in the order of ``atoms``."""
    clean: Tensor
    """z, (N, A): the value of each atom before its label is flipped."""
    observed: Tensor
    """y, (N, A): the labels, which users and classes go by."""
    present: Tensor
    """(N, M) bool: which item has which modality."""
    tastes: Tensor
    """theta, (U, A, k), centred over the values."""
    popularity: Tensor
    """(N,): a term of the logits that no modality knows."""
    tau: float
    class_of: Tensor | None = None
    """(k,) * A: the class of every combination of labels."""
    situations: int = 1
    """S, in how many situations users click."""

    # What is known, in bits

    def known(self, modalities: Iterable[str]) -> Tensor:
        """(N, A) bool: whether the coalition can read the atom off the item."""
        shown = self.present & self._members(modalities)
        columns = []
        for atom in self.atoms:
            over = shown[:, self._members(atom.over)]
            columns.append(over.any(1) if atom.kind == "copy" else over.all(1))
        return torch.stack(columns, dim=1)

    def coalition_value(self, modalities: Iterable[str]) -> float:
        """v(S) = I(y; what S shows) in bits an item, exact.

        v(S) = sum over copies [T meets S] bits + sum over parities [T inside S] bits, T the atom's
        modalities. Where items lack modalities it is the mean over this catalogue's items, each
        with S less what it lacks.
        """
        return float(self.known(modalities).double().mean(0) @ self._bits)

    def shapley(self) -> dict[str, float]:
        """Each modality's Shapley value in bits, exact.

        The bits of an atom split evenly over its modalities (a copy: over those that the item
        has; a parity: over all of them, if the item has them all), averaged over items.
        """
        value = torch.zeros(len(self.modalities), dtype=torch.float64)
        for atom, known, bits in zip(
            self.atoms, self.known(self.modalities).T, self._bits, strict=True
        ):
            holders = (self.present & self._members(atom.over)).double()
            share = holders / holders.sum(1, keepdim=True).clamp(min=1)
            value += bits * (share * known[:, None]).mean(0)
        return dict(zip(self.modalities, value.tolist(), strict=True))

    # What the best ranking is

    def utility(self, users: Tensor, situations: Tensor | None = None) -> Tensor:
        """(b, N): sum_a w_a theta_u[a, y_i[a]] + tau * popularity_i.

        tau times the logits that clicks were drawn from, so no ranking of the items has a higher
        expected NDCG or recall, true tastes, labels and ``situations`` (b,) given; S: not known.
        """
        return self._expected(users, self.observed, self._weighted(users, situations))

    def coalition_utility(
        self, users: Tensor, modalities: Iterable[str], situations: Tensor | None = None
    ) -> Tensor:
        """(b, N): the expectation of `utility` given what the coalition shows of each item.

        A known atom counts E[theta(y) | z] = sum_v P(y = v | z) theta(v), an unknown one the mean
        over its values (0: tastes are centred). Popularity counts for every coalition: the empty
        one ranks by it. With flips or missing modalities this is the best estimate of the
        utility; the best *ranking* may differ slightly, since clicks go by exp(utility / tau).
        """
        return self._given(users, self.known(modalities), situations)

    def additive_utility(
        self,
        users: Tensor,
        modalities: Iterable[str] | None = None,
        situations: Tensor | None = None,
    ) -> Tensor:
        """(b, N): `coalition_utility` with no parity atom known.

        A bound on what sums of functions of single modalities can know: every share of a parity
        is independent of its value, every copy can be read off one modality.
        """
        known = self.known(self.modalities if modalities is None else modalities)
        copies = torch.tensor([atom.kind == "copy" for atom in self.atoms])
        return self._given(users, known & copies, situations)

    def atom_utility(self, users: Tensor, atom: str) -> Tensor:
        """(b, N): w_a theta_u[a, y_i[a]], one atom's part of `utility`."""
        names = [one.name for one in self.atoms]
        if atom not in names:
            raise FusionlabError(f"atom: {one_of(atom, names)}")
        index = names.index(atom)
        return self._weighted(users)[:, index][:, self.observed[:, index]]

    # What the best classifier is

    def bayes_accuracy(self, modalities: Iterable[str]) -> float:
        """The highest accuracy any classifier of items can have from this coalition, exact.

        mean over items of E_z max_c P(class = c | known z), by enumeration of all k^A
        combinations of labels: known axes pass through the flip channel, unknown ones are averaged.
        """
        if self.class_of is None:
            raise FusionlabError(
                "bayes_accuracy: this catalogue has no classes; generate it with "
                "task: classification"
            )
        patterns, counts = torch.unique(self.known(modalities), dim=0, return_counts=True)
        accuracy = [self._accuracy_given(pattern) for pattern in patterns.tolist()]
        return float(np.average(accuracy, weights=counts.numpy()))

    def _accuracy_given(self, known: Sequence[bool]) -> float:
        assert self.class_of is not None
        classes = self.class_of.numpy()
        posterior = np.eye(int(classes.max()) + 1)[classes]
        for axis, (atom, is_known) in enumerate(zip(self.atoms, known, strict=True)):
            if is_known:
                flips = channel(self.alphabet, atom.flip)
                posterior = np.moveaxis(np.tensordot(flips, posterior, (1, axis)), 0, axis)
            else:
                posterior = posterior.mean(axis=axis, keepdims=True)
        return float(posterior.max(axis=-1).mean())

    # Helpers

    def _members(self, modalities: Iterable[str]) -> Tensor:
        """(M,) bool of a set of names."""
        chosen = set(modalities)
        for name in chosen:
            if name not in self.modalities:
                raise FusionlabError(f"modalities: {one_of(name, self.modalities)}")
        return torch.tensor([name in chosen for name in self.modalities])

    @cached_property
    def _bits(self) -> Tensor:
        return torch.tensor([atom.bits for atom in self.atoms], dtype=torch.float64)

    @cached_property
    def counts_in(self) -> Tensor:
        """(S + 1, A): how much each atom counts in each situation; at last the mean over them."""
        counts = torch.ones(self.situations, len(self.atoms))
        for column, atom in enumerate(self.atoms):
            if len(atom.over) == 1:
                counts[:, column] = 0
                counts[self.modalities.index(atom.over[0]) % self.situations, column] = 1
        return torch.cat([counts, counts.mean(0, keepdim=True)])

    def _weighted(self, users: Tensor, situations: Tensor | None = None) -> Tensor:
        """(b, A, k): w_a theta_u[a, v], as much as the atom counts in the situation."""
        weights = torch.tensor([atom.weight for atom in self.atoms])
        weighted = self.tastes[users] * weights[:, None]
        counts = self.counts_in[-1] if situations is None else self.counts_in[situations]
        return weighted * counts[..., None]

    def _given(self, users: Tensor, known: Tensor, situations: Tensor | None) -> Tensor:
        """Expected utility where ``known`` (N, A); the value k stands for an unknown atom."""
        weighted = self._weighted(users, situations)
        flips = np.stack([channel(self.alphabet, atom.flip) for atom in self.atoms])
        expected = torch.einsum("bav,azv->baz", weighted, torch.from_numpy(flips).float())
        tables = torch.cat([expected, weighted.mean(-1, keepdim=True)], dim=-1)
        return self._expected(users, self.clean.masked_fill(~known, self.alphabet), tables)

    def _expected(self, users: Tensor, states: Tensor, tables: Tensor) -> Tensor:
        """(b, N) of states (N, A) by tables (b, A, states), plus popularity.

        Items in the same state share a score, so it is summed once a distinct state, atom after
        atom (no matrix product: the order of the sum, and so every bit, is the same everywhere).
        """
        distinct, group = torch.unique(states, dim=0, return_inverse=True)
        scores = torch.zeros(len(users), len(distinct))
        for column in range(states.shape[1]):
            scores += tables[:, column].index_select(1, distinct[:, column])
        return scores.index_select(1, group) + self.tau * self.popularity
