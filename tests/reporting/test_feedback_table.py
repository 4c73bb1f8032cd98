"""The table of a feedback loop says what the courses hold."""

import csv
import io

import numpy as np
import pytest

from fusionlab.reporting.feedback_table import HEADS, feedback_table, rounds_csv
from fusionlab.serving.simulation import Course, Policy

ROUNDS, USERS = 3, 40


@pytest.fixture
def courses():
    """Nothing is learned without updates, .1 a round with profiles, in two seeds."""
    rng = np.random.default_rng(0)
    start = [rng.normal(0.5, 0.01, USERS) for _ in range(2)]
    return {
        Policy(update): [
            Course(
                np.array([one + gain * r for r in range(ROUNDS)]),
                np.full((ROUNDS, USERS), 0.4),
                np.array([1.0, 2.0, 3.0]),
            )
            for one in start
        ]
        for update, gain in (("none", 0.0), ("profile", 0.1))
    }


def test_a_row_tells_first_and_last_round_and_the_rise(courses):
    table = feedback_table(courses)
    still, risen = (
        {c.name: x for c, x in zip(table.columns, r, strict=True)} for r in table.rows()
    )
    assert [head in risen for head in HEADS] == [True] * len(HEADS)
    assert risen["last"].value - risen["first"].value == pytest.approx(0.2)
    assert still["last"].value == still["first"].value == risen["first"].value
    assert risen["rise (95 %, p)"].text.startswith("+0.200 (")
    assert risen["rise (95 %, p)"].text.endswith("<.001")
    assert still["rise (95 %, p)"].value == 0
    assert risen["rise by seed"].text == "+0.200 to +0.200"
    assert still["less profile update"].value == pytest.approx(-0.2)
    assert risen["less profile update"].text == ""
    assert risen["clicks a user"].text == "6.00"


def test_every_round_is_a_line(courses):
    lines = list(csv.DictReader(io.StringIO(rounds_csv(courses))))
    assert len(lines) == len(courses) * 2 * ROUNDS
    found = {(x["policy"], x["seed"], x["round"]): float(x["judged"]) for x in lines}
    expected = courses[Policy("profile")][1].judged[2].mean()
    assert found["profile update", "1", "3"] == expected
