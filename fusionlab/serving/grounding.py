"""What a generated sentence may say: no title but the item's and the history's, no foreign fact."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

PLAIN = re.compile(r"[a-z]+(?:['’-][a-z]+)*")
"""A word of small letters, as no title is written."""
NAME = re.compile(r"[a-z]+(?:[ _'’-][a-z]+)*")
"""What a field or a modality may be called."""
BETWEEN = re.compile(r"[,|;/]")
"""What stands between the values of a field."""
MARKS = ".,;:"
_FUNCTION_WORDS = """
    a about across after against all along although an and another are around as at away be
    because been before behind being below beside between both but by can could does down during
    each either every for from had has have he her here him his how if in inside into is it its
    itself may must near of on once onto or other out over own same she should since so than
    that the their them then there these they this those though through to together too toward
    under until up was we were what when where which while who whom whose why will with within
    without would you your
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that say nothing about an item; no negation, which would make its facts untrue."""

Fields = Mapping[str, str]
"""Facts of an item by the field's name; several values are separated by commas or bars."""


def shown(text: str) -> str:
    """A title or value on one line, without straight double quotes: these stand around titles."""
    return " ".join(text.replace('"', "'").split())


def values_of(text: str) -> str:
    """The values of a field that lists categories, in small letters and separated by commas."""
    return ", ".join(filter(None, (value.strip() for value in BETWEEN.split(text.lower()))))


def own_words(fields: Fields, categorical: Collection[str] = ()) -> frozenset[str]:
    """The words that say something about an item: those in small letters in its fields, and all of
    fields that are ``categorical``, put in small letters. Names, written with capitals, are left
    out elsewhere: in small letters nobody could tell a title from what is said."""
    found = set()
    for field, text in fields.items():
        words = (values_of(text) if field in categorical else text).split()
        found |= {word for part in words if PLAIN.fullmatch(word := part.strip("()!?" + MARKS))}
    return frozenset(found)


def fault(sentence: str, titles: Iterable[str], words: frozenset[str]) -> str | None:
    """Why a sentence must not be shown, or None if it may.

    To name a title is to put it in quotation marks, or to write it with a capital, a digit or a
    letter beyond a to z. A sentence passes only if

    1. its straight double quotes pair up, and what stands between a pair is, to the letter, one of
       ``titles`` (an empty one is none);
    2. outside of them every word is of the letters a to z alone (with an apostrophe or hyphen
       inside) and is a function word or one of ``words``; between words stand spaces and the marks
       ``. , ; :`` and nothing else.

    So whatever wrote the sentence, it names no title beyond ``titles``; nor does it name one in
    small letters, unless that is made of function words and the item's own.

    Args:
        sentence: what was written.
        titles: those that may be named, as `shown`.
        words: what may be said of the item (`own_words`).
    """
    parts = sentence.split('"')
    if len(parts) % 2 == 0:
        return "a quotation mark is not closed"
    allowed = set(titles) - {""}
    for quoted in parts[1::2]:
        if quoted not in allowed:
            return f"quotes {quoted!r}, which is no title of the item or the history"
    for part in parts[0::2]:
        for word in part.split():
            bare = word.rstrip(MARKS)
            if not bare:
                continue
            if not PLAIN.fullmatch(bare):
                return f"{bare!r} is no word in small letters"
            if bare not in FUNCTION_WORDS and bare not in words:
                return f"{bare!r} is not said of the item"
    return None
