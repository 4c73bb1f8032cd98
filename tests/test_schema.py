"""What a value of each wrong kind is told."""

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, FiniteFloat, StrictBool, create_model

from fusionlab.errors import ConfigError
from fusionlab.schema import EXPECTED, validate


@dataclass
class Pair:
    one: int = 1


class Inner(BaseModel):
    one: int = 1


# (a key's type, what stands there, what is expected), by pydantic's name of the mistake
KINDS: dict[str, tuple[Any, Any, str]] = {
    "bool_parsing": (bool, "perhaps", "true or false"),
    "bool_type": (StrictBool, 3, "true or false"),
    "dataclass_type": (Pair, 3, "a mapping of keys"),
    "dict_type": (dict[str, int], 3, "a mapping of keys"),
    "finite_number": (FiniteFloat, float("nan"), "a finite number"),
    "float_parsing": (float, "much", "a number"),
    "float_type": (float, [1], "a number"),
    "greater_than": (Annotated[float, Field(gt=0.5)], 0, "a number greater than 0.5"),
    "greater_than_equal": (Annotated[int, Field(ge=2)], 1, "at least 2"),
    "int_from_float": (int, 1.5, "a whole number"),
    "int_parsing": (int, "many", "a whole number"),
    "int_type": (int, [1], "a whole number"),
    "less_than": (Annotated[float, Field(lt=1)], 1, "a number less than 1"),
    "less_than_equal": (Annotated[int, Field(le=9)], 10, "at most 9"),
    "model_type": (Inner, 3, "a mapping of keys"),
    "string_pattern_mismatch": (
        Annotated[str, Field(pattern="^a+$")],
        "b",
        "text that matches ^a+$",
    ),
    "string_too_short": (Annotated[str, Field(min_length=2)], "b", "at least 2 characters"),
    "string_type": (str, 3, "text"),
    "too_long": (Annotated[list[int], Field(max_length=1)], [1, 2], "a list of 1 at most"),
    "too_short": (Annotated[list[int], Field(min_length=2)], [1], "a list of 2 or more"),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_kind_of_mistake_says_what_is_expected(kind, monkeypatch):
    of, found, expected = KINDS[kind]
    monkeypatch.setattr("fusionlab.schema.EXPECTED", {kind: EXPECTED[kind]})  # no other kind's
    with pytest.raises(ConfigError) as error:
        validate(create_model("Made", key=(of, ...)), {"key": found})
    assert str(error.value) == f"key: found {found!r}, expected {expected}"
