"""The atom table of a synthetic catalogue: what of the known answer each row found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusionlab.reporting.quality import CEILING
from fusionlab.reporting.table import Cell, Column, Group, Table, decimal, grouped
from fusionlab.studies.record import Row, RunRecord

Alignment = dict[str, float]


def known_atoms(rows: Sequence[Row]) -> list[str]:
    """The atoms for which every run of every row says how far it found them; empty if none does."""
    found = [_alignment(record) for row in rows for record in row.records]
    return [] if not found else [atom for atom in found[0] if all(atom in one for one in found)]


def atom_table(rows: Sequence[Row], *, title: str = "Atoms") -> Table:
    """Per atom, how well a row's scores follow what the atom adds to the true utility.

    alignment = mean over users of corr(scores, utility of the atom), over the items, divided by
    the same for the oracle; shown is its mean over seeds, divided by that of the row "achievable,
    all atoms" where there is one. 0 knows nothing of the atom. Above 1: the scores follow this
    atom more closely than scores that must follow all atoms can.
    """
    atoms = known_atoms(rows)
    means = {
        row.label: {
            atom: float(np.mean([_alignment(record)[atom] for record in row.records]))
            for atom in atoms
        }
        for row in rows
    }
    unit = means.get(CEILING, dict.fromkeys(atoms, 1.0))
    columns = [Column("row", "text")]
    for atom in atoms:
        columns += [Column(atom), Column(f"{atom} sd", shown=False)]

    def cells(row: Row) -> list[Cell]:
        found = [Cell(row.label)]
        for atom in atoms:
            share = means[row.label][atom] / (unit[atom] or 1)
            spread = float(np.std([_alignment(one)[atom] for one in row.records])) / (
                unit[atom] or 1
            )
            found += [Cell(decimal(share, 2), share), Cell(decimal(spread, 4), spread)]
        return found

    whose = CEILING if CEILING in means else "the oracle"
    return Table(
        title=title,
        columns=columns,
        groups=[Group(name, [cells(row) for row in of]) for name, of in grouped(rows).items()],
        notes=[
            f"Share of each atom found, of what {whose} finds: within-user correlation of scores "
            "with the atom's part of the true utility, mean over users and seeds. A row that finds "
            "few atoms may follow them more closely than one that serves all, hence above 1."
        ],
        sources={row.label: [record.id for record in row.records] for row in rows},
    )


def _alignment(record: RunRecord) -> Alignment:
    alignment: Alignment = record.truth.get("alignment", {})
    return alignment
