"""The atom table of a synthetic catalogue: what of the known answer each row found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from fusionlab.reporting.quality import CEILING
from fusionlab.reporting.table import ABSENT, Cell, Column, Group, Table, decimal, grouped
from fusionlab.studies.record import Row

NOTHING_TO_GAIN = 0.01
"""Of an atom with less than this share of the whole gain no share is told."""

Shares = npt.NDArray[np.float64]


def known_atoms(rows: Sequence[Row]) -> list[str]:
    """The atoms of which every run of every row says what it gained; empty if none does."""
    found = [record.truth.get("gain", {}) for row in rows for record in row.records]
    return [] if not found else [atom for atom in found[0] if all(atom in one for one in found)]


def atom_table(rows: Sequence[Row], *, title: str = "Atoms") -> Table:
    """Of what can be gained from the atoms, the share that each row gained.

    share = gain(row) / gain(achievable, all atoms), means over seeds; where there is no such row,
    of what one who knows the answer gains. The gains are those of `ranking_gains` or, for classes,
    `class_gains`. "all" is the share of their sum; the other columns tell it atom by atom.
    """
    atoms = known_atoms(rows)
    ceiling = next((row for row in rows if row.label == CEILING), None)
    if ceiling is not None:
        unit, whose = _gains(ceiling, atoms).mean(0), CEILING
    else:
        unit, whose = _gains(rows[0], atoms, "oracle_gain").mean(0), "one who knows the answer"
    columns = [
        Column("row", "text", how="the label of the row in its study"),
        Column("additive", "text", how="what the strategy says of itself"),
    ]
    beside = () if ceiling is None else (ceiling.label,)
    for name in ("all", *atoms):
        reads = tuple(("truth", "gain", atom) for atom in (atoms if name == "all" else [name]))
        share = "the row's gain (of all: the sum over atoms) in shares of the gain of " + whose
        how = (f"mean over seeds of {share}", f"standard deviation over seeds of {share}")
        columns.append(Column(name, reads=reads, how=how[0], beside=beside))
        columns.append(Column(f"{name} sd", shown=False, reads=reads, how=how[1], beside=beside))

    def cells(row: Row) -> list[Cell]:
        found = [Cell(row.label), Cell("yes") if row.additive else ABSENT]
        gains = _gains(row, atoms)
        for by_seed, most in zip(gains.T, unit, strict=True):
            if most < NOTHING_TO_GAIN * unit[0] or most <= 0:
                found += [ABSENT, ABSENT]
                continue
            share = float(by_seed.mean() / most)
            found += [Cell(decimal(share, 2), share), _spread(by_seed / most)]
        return found

    return Table(
        title=title,
        columns=columns,
        groups=[Group(name, [cells(row) for row in of]) for name, of in grouped(rows).items()],
        notes=[_note(rows, whose)],
        sources={row.label: [record.id for record in row.records] for row in rows},
    )


def _gains(row: Row, atoms: Sequence[str], key: Literal["gain", "oracle_gain"] = "gain") -> Shares:
    """(seeds, 1 + A): the sum over atoms, then each atom."""
    by_atom = np.array([[record.truth[key][atom] for atom in atoms] for record in row.records])
    return np.concatenate([by_atom.sum(1, keepdims=True), by_atom], axis=1)


def _spread(shares: Shares) -> Cell:
    if len(shares) < 2:
        return ABSENT
    spread = float(shares.std(ddof=1))
    return Cell(decimal(spread, 4), spread)


def _note(rows: Sequence[Row], whose: str) -> str:
    task = next((record.config.get("task") for row in rows for record in row.records), None)
    if task == "classification":
        gain = (
            "accuracy above chance, split over the atoms that the class depends on (what takes "
            "several atoms at once: in equal parts)"
        )
    else:
        gain = (
            "how much more of the atom's true utility the higher ranked of two candidates has "
            "(0: its order knows nothing of the atom)"
        )
    return (
        f"Shares of the gain of {whose}; means over seeds. Gain: {gain}. A row that serves few "
        "atoms may gain more of these, hence single shares above 1. additive: expresses only sums "
        "of functions of single modalities."
    )
