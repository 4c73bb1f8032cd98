"""What an audit of a run found, and the file of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.contribution import Effect
from fusionlab.evaluation.knockouts import KNOCKOUTS
from fusionlab.schema import said_by

Split = Literal["valid", "test"]


@dataclass(frozen=True)
class ModalityAudit:
    """What the metric loses where a modality tells nothing; means over users with their errors.

    ``knockouts`` by `KNOCKOUTS`; ``masked`` in the whole catalogue; ``retrained`` by a model that
    never had the modality. ``shapley`` is the modality's share of the metric, ``sampling_error``
    the standard error of its mean over sampled orders (0 where it is exact). None: not asked for,
    or not told (`Audit.hidden`).
    """

    knockouts: dict[str, Effect]
    masked: Effect | None = None
    shapley: Effect | None = None
    sampling_error: float = 0.0
    retrained: Effect | None = None


@dataclass(frozen=True)
class GroupAudit:
    """The same of a group of ``units`` users; nobody is retrained for a group."""

    units: int
    whole: Effect
    nothing: Effect | None
    modalities: dict[str, ModalityAudit]


@dataclass(frozen=True)
class Audit:
    """What was found of a run; `to_json` for a file, `read` for what stands in one.

    ``whole`` is the metric as the run has it on these ``units`` users (or items), ``nothing`` with
    every modality masked. ``hidden``: the model has not seen subsets of its modalities in training,
    so what it says of them (``masked``, ``shapley``) was left out. ``predicts[a][b]`` is R^2 of b
    from a. ``view_weights`` and ``modality_weights`` are the strategy's own, empty without.
    """

    run: str
    label: str
    split: Split
    metric: str
    units: int
    unit: str
    coalition_training: str
    hidden: bool
    whole: Effect
    nothing: Effect | None
    modalities: dict[str, ModalityAudit]
    predicts: dict[str, dict[str, float]]
    view_weights: dict[str, float]
    modality_weights: dict[str, float] = field(default_factory=dict)
    groups: dict[str, GroupAudit] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def read(cls, file: Path) -> Audit:
        """Read back what ``fusionlab audit --json`` wrote.

        Raises:
            FusionlabError: no such file, or one that is something else.
        """
        try:
            found = _checked().validate_json(file.read_bytes())
        except FileNotFoundError:
            raise FusionlabError(
                f"{file}: no such file; `fusionlab audit RUN --json {file}` writes it"
            ) from None
        except ValidationError as error:
            raise FusionlabError(f"{file}: not the audit of a run ({said_by(error)})") from None
        except OSError as error:
            raise FusionlabError(f"{file}: cannot be read ({error.strerror})") from None
        for name, one in found.modalities.items():
            if one.knockouts.keys() != KNOCKOUTS.keys():
                told = ", ".join(one.knockouts) or "none"
                raise FusionlabError(
                    f"{file}: modalities.{name}.knockouts: found {told}, expected "
                    f"{', '.join(KNOCKOUTS)}"
                )
        return found


@cache
def _checked() -> TypeAdapter[Audit]:
    return TypeAdapter(Audit)
