"""Codes in words: who, where and in what mood, each told in many ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

WORDS = (
    (
        ("fox", "horse", "wolf", "badger", "rabbit", "deer"),
        ("robot", "tractor", "rocket", "tram", "lorry", "gearbox"),
        ("teacher", "nurse", "baker", "lawyer", "tailor", "plumber"),
        ("ghost", "witch", "vampire", "dragon", "goblin", "troll"),
    ),
    (
        ("harbour", "beach", "pier", "lighthouse", "reef", "lagoon"),
        ("summit", "glacier", "ridge", "gorge", "peak", "plateau"),
        ("subway", "skyscraper", "boulevard", "suburb", "plaza", "car park"),
        ("forest", "grove", "jungle", "thicket", "clearing", "orchard"),
    ),
    (
        ("cheerful", "merry", "happy", "jolly", "playful", "funny"),
        ("gloomy", "mournful", "tearful", "sorrowful", "bleak", "sad"),
        ("frightening", "scary", "terrifying", "spooky", "chilling", "menacing"),
        ("calm", "peaceful", "quiet", "gentle", "serene", "tranquil"),
    ),
)
"""Attribute, value, synonyms."""
CLAUSES = (
    ("a story about a {}", "it follows a {}", "starring a {}", "meet the {}"),
    ("set near the {}", "it begins at the {}", "filmed by the {}", "all is lost at the {}"),
    ("a {} film", "told in a {} tone", "{} from start to end", "critics call it {}"),
)
FILLERS = (
    "a first feature",
    "in black and white",
    "with subtitles",
    "after the novel of that name",
    "winner of two prizes",
    "restored last year",
    "now in its third week",
    "shot in nine days",
    "with an interval",
    "the sequel is under way",
    "ask for the long version",
    "not to be missed",
)


def sentence(values: Sequence[int], rng: np.random.Generator) -> str:
    """One sentence: a clause an attribute and one to three that mean nothing, in any order."""
    clauses = [
        _pick(ways, rng).format(_pick(words[value], rng))
        for ways, words, value in zip(CLAUSES, WORDS, values, strict=True)
    ]
    fillers = rng.permutation(len(FILLERS))[: rng.integers(1, 4)]
    clauses += [FILLERS[filler] for filler in fillers]
    text = ", ".join(clauses[place] for place in rng.permutation(len(clauses)))
    return f"{text[0].upper()}{text[1:]}."


def _pick(ways: Sequence[T], rng: np.random.Generator) -> T:
    return ways[int(rng.integers(len(ways)))]
