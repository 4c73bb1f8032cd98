"""The contract as checks that any strategy can be held against, in tests and on the command line.

Each check takes a `Subject` (a strategy, a number of modalities, a type of floating-point numbers)
and raises AssertionError with what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from fusionlab.fusion.checks import of_items, of_scores
from fusionlab.fusion.checks.subject import DTYPES, SPECS, Subject
from fusionlab.fusion.contract import specimen
from fusionlab.registry import Part

__all__ = ["CHECKS", "DTYPES", "SPECS", "CheckResult", "Subject", "check_all", "hold"]

Check = Callable[[Subject], None]
CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        of_items.shapes,
        of_items.declares_itself,
        of_items.additive_is_true,
        of_items.nothing_behind_the_mask,
        of_items.masked_is_never_there,
        of_items.rows_are_independent,
        of_items.modality_weights_are_shares,
        of_items.parameters_learn,
        of_items.saves_and_loads,
        of_items.types_move,
        of_items.types_mix,
        of_items.overfits,
        of_scores.order_of_modalities,
        of_scores.weights_are_shares,
        of_scores.by_query_is_true,
        of_scores.folded_is_combined,
        of_scores.users_are_independent,
        of_scores.candidates_move,
        of_scores.extremes_are_finite,
    )
}


@dataclass(frozen=True)
class CheckResult:
    """One check of one strategy; ``problem`` is empty where it holds."""

    fusion: str
    check: str
    problem: str = ""


def check_all(names: Sequence[str]) -> list[CheckResult]:
    """Hold each named strategy against each check, with 1 to 4 modalities in each of `DTYPES`."""
    return [
        CheckResult(name, label, _problem(check, specimen(name)))
        for name in names
        for label, check in CHECKS.items()
    ]


def hold(check: Check, part: Part, modalities: Sequence[int] = range(1, len(SPECS) + 1)) -> None:
    """Hold a strategy against a check, with each number of ``modalities`` in each of `DTYPES`.

    A note on what the check raises says with how many of them and in which type.
    """
    for dtype, number in product(DTYPES, modalities):
        try:
            check(Subject(part, number, dtype))
        except Exception as error:
            kind = str(dtype).removeprefix("torch.")
            error.add_note(f"with {number} modalities in {kind}")
            raise


def _problem(check: Check, part: Part) -> str:
    try:
        hold(check, part)
    except Exception as error:  # whatever a plug-in raises is its result here
        return f"{error.__notes__[-1]}: {type(error).__name__}: {error}"
    return ""
