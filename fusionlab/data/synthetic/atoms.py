"""Atoms of information: who holds a value, and how many bits of it the label keeps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fusionlab.errors import FusionlabError, one_of

Kind = Literal["copy", "parity"]


class AtomOptions(BaseModel):
    """One atom as a configuration names it.

    ``copy``: one value, written into every modality of ``over`` (over one modality it is unique
    information, over several it is redundant). ``parity``: every modality of ``over`` holds a
    uniform share, and the value is the sum of the shares modulo the alphabet (synergy).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Kind
    over: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    flip: Annotated[float, Field(ge=0, le=1)] | None = None
    name: str | None = None


@dataclass(frozen=True)
class Atom:
    """An atom of the generator: ``bits`` is I(y; clean value), what its label keeps of it."""

    name: str
    kind: Kind
    over: tuple[str, ...]
    weight: float
    flip: float
    bits: float


def channel(alphabet: int, flip: float) -> npt.NDArray[np.float64]:
    """P(label | clean value), (k, k): the value with 1 - e, each other with e / (k - 1)."""
    matrix = np.full((alphabet, alphabet), flip / (alphabet - 1))
    np.fill_diagonal(matrix, 1 - flip)
    return matrix


def channel_bits(alphabet: int, flip: float) -> float:
    """Capacity in bits: log2 k - h(e) - e log2(k - 1); 1 - h(e) for k = 2."""
    entropy = -sum(p * math.log2(p) for p in (flip, 1 - flip) if p > 0)
    return math.log2(alphabet) - entropy - flip * math.log2(alphabet - 1)


def standard_atoms(
    modalities: Sequence[str], redundancy: float, uniqueness: Mapping[str, float], synergy: float
) -> list[AtomOptions]:
    """A copy in every modality, one in each, a parity over all; weight 0 leaves an atom out."""
    everyone = tuple(modalities)
    atoms = []
    if redundancy > 0:
        atoms.append(AtomOptions(kind="copy", over=everyone, weight=redundancy, name="redundant"))
    for modality in modalities:
        if uniqueness[modality] > 0:
            atoms.append(
                AtomOptions(
                    kind="copy",
                    over=(modality,),
                    weight=uniqueness[modality],
                    name=f"unique_{modality}",
                )
            )
    if synergy > 0:
        if len(everyone) < 2:
            raise FusionlabError(
                f"synergy: found {synergy:g} with one modality, expected 0 "
                "(a parity takes two modalities or more)"
            )
        atoms.append(AtomOptions(kind="parity", over=everyone, weight=synergy, name="synergy"))
    return atoms


def resolve_atoms(
    options: Sequence[AtomOptions], modalities: Sequence[str], alphabet: int, flip: float
) -> tuple[Atom, ...]:
    """Check the atoms against the modalities; fill in names, flip rates and bits."""
    if not options:
        raise FusionlabError("atoms: found none, expected at least one with a weight above 0")
    atoms = []
    for position, option in enumerate(options):
        _check(option, f"atoms.{position}", modalities)
        rate = flip if option.flip is None else option.flip
        if rate > 1 - 1 / alphabet:
            raise FusionlabError(
                f"flip: found {rate:g}, expected at most 1 - 1/alphabet = {1 - 1 / alphabet:g}, "
                "where a label is pure chance"
            )
        name = option.name or f"{option.kind}_{'_'.join(option.over)}"
        bits = channel_bits(alphabet, rate)
        atoms.append(Atom(name, option.kind, option.over, option.weight, rate, bits))
    name, times = Counter(atom.name for atom in atoms).most_common(1)[0]
    if times > 1:
        raise FusionlabError(
            f"atoms: found {times} atoms named {name!r}, expected one: give each its own name"
        )
    return tuple(atoms)


def _check(option: AtomOptions, where: str, modalities: Sequence[str]) -> None:
    for modality in option.over:
        if modality not in modalities:
            raise FusionlabError(f"{where}.over: {one_of(modality, modalities)}")
    if len(set(option.over)) < len(option.over):
        raise FusionlabError(f"{where}.over: found {option.over}, expected each modality once")
    if option.kind == "parity" and len(option.over) < 2:
        raise FusionlabError(
            f"{where}.over: found {option.over}, expected two modalities or more for a parity"
        )
