"""The two tables of docs/fusion-family.md, from the reports of fusion_comparison.py.

python docs/family_tables.py [reports/fusion_family] > tables.md
"""

import argparse
import csv
from pathlib import Path

DIALS = ("redundancy", "uniqueness", "synergy", "mix")
METRICS = {"recommendation": "auc", "classification": "accuracy"}
ATOMS = ("all", "redundant", "unique_text", "unique_image", "unique_audio", "synergy")


def read(folder: Path, task: str, dial: str, table: str) -> dict[str, dict[str, str]]:
    """Rows of a report by label, the best single modality without its name (it may differ)."""
    with (folder / f"{task}-{dial}" / f"{table}.csv").open() as file:
        return {
            row["row"].split(" (text")[0].split(" (image")[0].split(" (audio")[0]: row
            for row in csv.DictReader(file)
        }


def number(text: str | None, digits: int) -> str:
    """A figure without the zero before its point; nothing where there is none."""
    if not text:
        return ""
    shown = f"{float(text):.{digits}f}"
    sign = "-" if shown.startswith("-") and float(shown) else ""
    return sign + shown.lstrip("-").removeprefix("0")


def verdict(row: dict[str, str]) -> str:
    """+ above the strongest control, - below it, at .05 after Holm."""
    if not row.get("p (Holm)") or float(row["p (Holm)"]) >= 0.05:
        return ""
    return "+" if float(row["difference"]) > 0 else "-"


def epochs(row: dict[str, str]) -> str:
    """Median over seeds and range; nothing where nothing is trained."""
    low, high = (float(row.get(f"epochs {end}") or 0) for end in ("min", "max"))
    return f"{float(row['epochs']):.0f} ({low:.0f}-{high:.0f})" if high else ""


def quality(folder: Path) -> list[list[str]]:
    """A line a row: its metric on each dial and for each task, and its verdict on synergy."""
    found = {
        (task, dial): read(folder, task, dial, "quality") for task in METRICS for dial in DIALS
    }
    additive = read(folder, "recommendation", "mix", "atoms")
    cost = read(folder, "recommendation", "synergy", "cost")
    lines = []
    for label in found["recommendation", "mix"]:
        figures = {
            task: [number(found[task, dial].get(label, {}).get(metric), 4) for dial in DIALS]
            for task, metric in METRICS.items()
        }
        known = "additive" if additive[label]["additive"] else ""
        test = verdict(found["recommendation", "synergy"].get(label, {}))
        tested = [test, epochs(cost.get(label, {}))]
        lines.append(
            [label, known, *figures["recommendation"], *tested, *figures["classification"]]
        )
    return lines


def shares(folder: Path) -> list[list[str]]:
    """A line a row: its share of the achievable gain of each atom, mixed and of synergy alone."""
    lines = []
    mix, pure = (
        {task: read(folder, task, dial, "atoms") for task in METRICS} for dial in ("mix", "synergy")
    )
    for label in mix["recommendation"]:
        atoms = [
            number(mix[task].get(label, {}).get(atom), 2) for task in METRICS for atom in ATOMS
        ]
        alone = [number(pure[task].get(label, {}).get("all"), 2) for task in METRICS]
        lines.append([label, *atoms, *alone])
    return lines


def markdown(header: list[str], lines: list[list[str]]) -> str:
    """A table whose first column is text."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---"] * len(header), *lines])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("reports/fusion_family"))
    folder = parser.parse_args().folder
    dials = [f"{task}: {dial}" for task in ("clicks", "classes") for dial in DIALS]
    print(
        markdown(
            ["", "", *dials[:4], "vs IDs on synergy", "epochs on synergy", *dials[4:]],
            quality(folder),
        ),
        "\n",
    )
    atoms = [f"{task}: {atom}" for task in ("clicks", "classes") for atom in ATOMS]
    pure = ["pure synergy: clicks", "pure synergy: classes"]
    print(markdown(["", *atoms, *pure], shares(folder)))
