"""The base of nested options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A section of a part's configuration: unknown keys are refused, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Only what is not the default: that is what a reader looks for."""
        return [
            (key, getattr(self, key))
            for key, field in type(self).model_fields.items()
            if getattr(self, key) != field.default
        ]
