"""A text to words, step by step: the preprocessing of classic text models."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from fusionlab.encoders.sources import cache_folder
from fusionlab.errors import FusionlabError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Token

Spoken = Literal["en", "zh"]
PartOfSpeech = Literal[
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM",
    "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X",
]  # fmt: skip
"""Universal part-of-speech tags."""

LIBRARIES: dict[Spoken, tuple[str, ...]] = {"en": ("spacy",), "zh": ("spacy", "jieba")}
HAN = re.compile("([々〇㐀-䶿一-鿿豈-﫿\U00020000-\U000323af]+)")


class TextSteps(BaseModel):
    """How a text becomes words, in this order: unicode, words, parts of speech, stop words,
    punctuation, case.

    Options:
        language: whose rules cut the text into words: English, Chinese, or "auto": runs of Chinese
            characters by the Chinese rules and all else by the English ones
        unicode: normal form of the characters; the default makes full-width letters plain ones
        tagger: a spaCy pipeline that is installed (en_core_web_sm) or a folder of one, which must
            be of someone you trust (SECURITY.md); it cuts the text too, so `language` must be its
            language
        parts_of_speech: keep only the words that the tagger calls so (NOUN, VERB, ...); empty: all
        keep_stop_words: keep the words that say little (the, of); spaCy's lists
        keep_punctuation: keep what has neither letter nor digit
        lower_case: write all in lower case
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: Literal["auto", "en", "zh"] = "auto"
    unicode: Literal["NFC", "NFD", "NFKC", "NFKD", "none"] = "NFKC"
    tagger: str | None = None
    parts_of_speech: tuple[PartOfSpeech, ...] = ()
    keep_stop_words: bool = False
    keep_punctuation: bool = False
    lower_case: bool = True

    @model_validator(mode="after")
    def _tagger_is_used(self) -> TextSteps:
        if bool(self.parts_of_speech) != bool(self.tagger):
            raise ValueError("parts_of_speech and tagger need each other: give both or neither")
        if self.tagger and self.language == "auto":
            raise ValueError("a tagger knows one language: set language to en or zh")
        return self


TEXT_STEPS = TextSteps()


class Words:
    """The words of a text by ``steps``; travels to other processes without its pipelines.

    Raises:
        FusionlabError: a library or the tagger is not installed.
    """

    def __init__(self, steps: TextSteps) -> None:
        self.steps = steps
        self._pipelines: dict[Spoken, Language] = {}
        self._languages: tuple[Spoken, ...] = get_args(Spoken)
        if steps.language != "auto":
            self._languages = (steps.language,)
        needed = {library for one in self._languages for library in LIBRARIES[one]}
        for library in sorted(needed):
            if util.find_spec(library) is None:
                raise FusionlabError(
                    f"text of language {steps.language!r} needs the package {library}, which is "
                    "not installed: pip install 'fusionlab-recsys[classic-text]'"
                )
        if steps.tagger:
            self._pipeline(self._languages[0])

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pipelines": {}}

    def __call__(self, text: str) -> list[str]:
        """The words after the last step; none of them holds white space."""
        *_, (_, words) = self.after_each_step(text)
        return [part for word in words for part in word.split()]

    def after_each_step(self, text: str) -> Iterator[tuple[str, list[str]]]:
        """Every step's name and what it leaves of the text; steps that are off are left out."""
        steps = self.steps
        if steps.unicode != "none":
            text = unicodedata.normalize(steps.unicode, text)
            yield "unicode", [text]
        tokens = [token for token in self._tokens(text) if not token.is_space]
        yield "words", [token.text for token in tokens]
        filters: dict[str, tuple[bool, Callable[[Token], bool]]] = {
            "parts_of_speech": (
                bool(steps.parts_of_speech),
                lambda token: token.pos_ in steps.parts_of_speech,
            ),
            "stop_words": (not steps.keep_stop_words, lambda token: not token.is_stop),
            "punctuation": (
                not steps.keep_punctuation,
                lambda token: any(map(str.isalnum, token.text)),
            ),
        }
        for name, (on, keep) in filters.items():
            if on:
                tokens = [token for token in tokens if keep(token)]
                yield name, [token.text for token in tokens]
        if steps.lower_case:
            yield "lower_case", [token.lower_ for token in tokens]

    def versions(self) -> str:
        """A hash of the versions of all whose rules or tables decide about words."""
        libraries = sorted({name for one in self._languages for name in LIBRARIES[one]})
        found = [f"{name} {metadata.version(name)}" for name in libraries]
        found.append(f"unicode {unicodedata.unidata_version}")
        if self.steps.tagger:
            about = self._pipeline(self._languages[0]).meta
            found.append(f"{about['lang']}_{about['name']} {about['version']}")
        return sha256("\n".join(found).encode()).hexdigest()

    def _tokens(self, text: str) -> Iterator[Token]:
        if self.steps.language != "auto":
            yield from self._cut(text, self.steps.language)
            return
        for place, run in enumerate(HAN.split(text)):
            yield from self._cut(run, "zh" if place % 2 else "en")

    def _cut(self, text: str, language: Spoken) -> Iterator[Token]:
        if not text.strip():
            return
        document = self._pipeline(language)(text)
        if self.steps.tagger and not document.has_annotation("POS"):
            raise FusionlabError(
                f"tagger: {self.steps.tagger!r} gives words no part of speech, expected a spaCy "
                "pipeline that sets token.pos"
            )
        yield from document

    def _pipeline(self, language: Spoken) -> Language:
        if language not in self._pipelines:
            self._pipelines[language] = (
                _tagger(self.steps.tagger, language) if self.steps.tagger else _blank(language)
            )
        return self._pipelines[language]


@cache
def _blank(language: Spoken) -> Language:
    import spacy

    if language == "en":
        return spacy.blank("en")
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    folder = cache_folder()  # its own default is shared by all users of the machine
    folder.mkdir(parents=True, exist_ok=True)
    jieba.dt.tmp_dir = str(folder)
    return spacy.blank("zh", config={"nlp": {"tokenizer": {"segmenter": "jieba"}}})


def _tagger(name: str, language: Spoken) -> Language:
    """The pipeline of a package that calls itself one of spaCy's, or of a folder."""
    import spacy

    packages = metadata.entry_points(group="spacy_models").names
    if name not in packages and not Path(name).is_dir():
        raise FusionlabError(
            f"tagger: found {name!r}, which is neither an installed spaCy pipeline "
            f"({', '.join(sorted(packages)) or 'none is installed'}) nor a folder of one: "
            f"python -m spacy download {name}"
        )
    try:
        source = name if name in packages else Path(name)  # spaCy imports what a text names
        pipeline = spacy.load(source, exclude=["parser", "ner", "lemmatizer"])
    except Exception as error:  # spaCy fails on bad files in every way there is
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FusionlabError(
            f"tagger: found {name!r}, which cannot be loaded, expected a spaCy pipeline: {reason}"
        ) from None
    if pipeline.lang != language:
        raise FusionlabError(
            f"tagger: {name!r} is for language {pipeline.lang!r}, but language is {language!r}"
        )
    return pipeline
