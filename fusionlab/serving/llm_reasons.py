"""Short reasons for recommended items: written by a language model, held to what is known."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fusionlab.errors import FusionlabError
from fusionlab.serving.grounding import (
    FUNCTION_WORDS,
    NAME,
    Fields,
    fault,
    own_words,
    shown,
    values_of,
)

Generate = Callable[[Sequence[str], Sequence[frozenset[str]]], Sequence[str]]
"""Prompts, and of each the words that it may be continued by, to what a model writes after each."""
OPENINGS = ("is recommended because of its {modalities}:", "is close to you in its {modalities}:")
"""What follows title and facts; the model goes on from there, once with each until one passes."""
NONE_COUNTED = "is recommended, though no modality of its own counted for it."
SHORT = 60
"""Characters; a longer field is prose: the model reads it, the sentence does not repeat it."""
CATEGORICAL = ("genre", "genres", "category", "categories")
TASK = (
    "Each sentence ends in a few words on what the item is about.\n\n"
    "liked before: nothing yet\n"
    "genre: drama\n"
    "plot: A fisherman lives alone on an island until a stranger brings him a letter.\n"
    '"A Quiet Harbour" (genre: drama) is recommended because of its text and image: a letter '
    "changes the life of a lonely man by the sea.\n\n"
)


@dataclass(frozen=True)
class Recommended:
    """An item for which a user wants a reason.

    ``history`` are rows of the user's items, oldest first; ``contributions`` say how much each
    modality counted, by name (as of `contributions`, or a fusion's view weights).
    """

    item: int
    history: Sequence[int]
    contributions: Mapping[str, float]


@dataclass(frozen=True)
class Reason:
    """One sentence; ``modalities`` are those it names, the most important first.

    ``generated`` is False where a template stands in; ``faults`` say what was wrong with each text
    that the model wrote and that was not taken.
    """

    item: int
    text: str
    modalities: tuple[str, ...]
    generated: bool
    faults: tuple[str, ...] = field(default=())


class ReasonWriter:
    """Writes `"TITLE" (FIELD: VALUE; ...) is recommended because of its MODALITIES: ... .`

    The title is put there as given. A fact is put there if it is short and passes `fault`, that is
    in small letters throughout; those of ``categorical`` fields are put in small letters first. The
    model ends the sentence in words of the item's fields, and what it writes must pass `fault`,
    name no further modality and come to an end. After as many failures as there are openings a
    template ends it. So no reason names a title but the item's and the history's, whatever the
    model and whatever stands in the fields.

    Args:
        generate: writes after prompts, all of a call in one batch (`Greedy`).
        titles: one an item of the catalogue, None where there is none.
        fields: facts of each item by field, such as ``{"genre": "crime, drama"}``; None is no fact.
        categorical: fields that list categories, whose words may be written in small letters
            (never name a field that lists titles).
        most: at most so many modalities are named: those of the largest positive contributions.
        told: of the history the last so many titles are told to the model.

    Raises:
        FusionlabError: titles and fields that are not one an item, not text, or under names that
            are not in small letters; an item, history or modality that there is not.
    """

    def __init__(
        self,
        generate: Generate,
        titles: Sequence[str | None],
        fields: Sequence[Mapping[str, str | None]],
        *,
        categorical: Collection[str] = CATEGORICAL,
        most: int = 2,
        told: int = 5,
    ) -> None:
        if len(fields) != len(titles):
            raise FusionlabError(
                f"fields: found {len(fields)} rows, expected {len(titles)}, one a title"
            )
        self.generate, self.categorical = generate, categorical
        self.titles = [_text(title, f"titles: row {row}") for row, title in enumerate(titles)]
        self.fields = [_facts(row, facts) for row, facts in enumerate(fields)]
        self.most, self.told = most, told

    def write(self, recommended: Sequence[Recommended]) -> list[Reason]:
        """A reason for each, in the same order."""
        for one in recommended:
            self._check(one)
        named = [self._counted(one) for one in recommended]
        faults: list[list[str]] = [[] for _ in recommended]
        texts: dict[int, str] = {}
        for opening in OPENINGS:
            left = [k for k, names in enumerate(named) if names and k not in texts]
            begun = [self._begin(recommended[k], named[k], opening) for k in left]
            for k, text, (end, wrong) in zip(
                left, begun, self._endings([recommended[k] for k in left], begun), strict=True
            ):
                wrong = wrong or _names_another(end, recommended[k], named[k])
                if wrong is None:
                    texts[k] = text + end
                else:
                    faults[k].append(wrong)
        return [
            Reason(
                one.item,
                texts.get(k) or self._template(one, named[k]),
                named[k],
                k in texts,
                tuple(faults[k]),
            )
            for k, one in enumerate(recommended)
        ]

    def _check(self, one: Recommended) -> None:
        for item in (one.item, *one.history):
            if not 0 <= item < len(self.titles):
                raise FusionlabError(
                    f"recommended: found item {item}, expected a row from 0 to "
                    f"{len(self.titles) - 1} (-1 fills up short lists and is no item)"
                )
        for name in one.contributions:
            _check_name("contributions", name)

    def _counted(self, one: Recommended) -> tuple[str, ...]:
        counted = [name for name, share in one.contributions.items() if share > 0]
        return tuple(sorted(counted, key=lambda name: -one.contributions[name])[: self.most])

    def _begin(self, one: Recommended, named: Sequence[str], opening: str) -> str:
        return f"{self._subject(one.item)} {opening.format(modalities=_listed(named))}"

    def _template(self, one: Recommended, named: Sequence[str]) -> str:
        if not named:
            return f"{self._subject(one.item)} {NONE_COUNTED}"
        return self._begin(one, named, OPENINGS[0]).removesuffix(":") + "."

    def _subject(self, item: int) -> str:
        name = next((f'"{title}"' for title in self._titles([item])), "This item")
        own, facts = self._words(item), []
        for key, value in self.fields[item].items():
            text = shown(values_of(value) if key in self.categorical else value)
            if 0 < len(text) <= SHORT and fault(text, (), own) is None:
                facts.append(f"{key}: {text}")
        return f"{name} ({'; '.join(facts)})" if facts else name

    def _words(self, item: int) -> frozenset[str]:
        return own_words(self.fields[item], self.categorical)

    def _prompt(self, one: Recommended) -> str:
        told = one.history[max(len(one.history) - self.told, 0) :]
        liked = ", ".join(f'"{title}"' for title in self._titles(told))
        facts = [f"{key}: {shown(value)}" for key, value in self.fields[one.item].items()]
        return TASK + "\n".join([f"liked before: {liked or 'nothing yet'}", *facts, ""])

    def _titles(self, items: Sequence[int]) -> list[str]:
        titles = (shown(self.titles[item] or "") for item in items)
        return [title for title in titles if title]

    def _endings(
        self, recommended: Sequence[Recommended], begun: Sequence[str]
    ) -> list[tuple[str, str | None]]:
        """The rest of each sentence up to its full stop, and what is wrong with it."""
        if not begun:
            return []
        words = [self._words(one.item) for one in recommended]
        prompts = [self._prompt(one) + text for one, text in zip(recommended, begun, strict=True)]
        written = self.generate(prompts, [FUNCTION_WORDS | own for own in words])
        found = []
        for one, own, text in zip(recommended, words, written, strict=True):
            rest, ended = _first_sentence(text)
            last = rest.split()[-1].rstrip(".") if rest.strip() else ""
            if not ended or last in FUNCTION_WORDS or not last:
                wrong: str | None = f"the sentence has no end: {rest!r}"
            else:
                wrong = fault(rest, self._titles([*one.history, one.item]), own)
            found.append((f" {' '.join(rest.split())}", wrong))
        return found


def fallback_rate(reasons: Sequence[Reason]) -> float:
    """The share of reasons that a template had to end."""
    if not reasons:
        raise FusionlabError("reasons: found none, expected at least one for a rate")
    return sum(not one.generated for one in reasons) / len(reasons)


def _facts(row: int, facts: Mapping[str, str | None]) -> Fields:
    found = {}
    for name, value in facts.items():
        _check_name(f"fields: row {row}", name)
        text = _text(value, f"fields: row {row}: {name}")
        if text is not None:
            found[name] = text
    return found


def _text(value: str | None, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise FusionlabError(f"{where}: found {value!r}, expected text or None")
    return value


def _check_name(where: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise FusionlabError(
            f"{where}: found the name {name!r}, which a reason would repeat; expected one in small "
            "letters a to z (with spaces, hyphens or underscores inside): rename it"
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _names_another(text: str, one: Recommended, named: Sequence[str]) -> str | None:
    words = set(re.findall(r"\w+", text.lower()))
    for name in one.contributions:
        if name not in named and name.lower() in words:
            return f"names {name!r}, which did not count"
    return None


def _first_sentence(text: str) -> tuple[str, bool]:
    """Up to the first full stop outside of quotes, on the first line; False: there is none."""
    quoted = False
    line = text.split("\n")[0]
    for place, letter in enumerate(line):
        quoted ^= letter == '"'
        if letter == "." and not quoted:
            return line[: place + 1], True
    return line, False
