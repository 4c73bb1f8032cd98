"""Latent semantic analysis: the classic baseline of text features."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from fusionlab.data.features import FeatureSpec
from fusionlab.data.media import Medium, Raw
from fusionlab.encoders.contract import ENCODERS, Batch, Encoder, Sample
from fusionlab.encoders.text.raw import text_of
from fusionlab.encoders.text.steps import TEXT_STEPS, TextSteps, Words
from fusionlab.errors import FusionlabError
from fusionlab.schema import Section

ITERATIONS = 7
RELATIVE_ZERO = 1e-6
"""Singular values below this share of the largest are rounding errors of zero."""
STATE = ("vocabulary", "rarity", "components")


class PrepareWords:
    """A text to its words: ``{"words": (n,) uint8}``, UTF-8, one word a line."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def __call__(self, raw: Raw) -> Sample:
        """Raises `BadMedia` for an empty text; one without words is an empty tensor."""
        return {"words": _bytes("\n".join(self.words(text_of(raw))))}


@ENCODERS.register("tfidf")
class Tfidf(Encoder):
    """TF-IDF of the words, reduced to the directions of largest norm (latent semantic analysis).

    x = V^T u / |u|,  u_w = tf_w (1 + ln((1 + n) / (1 + n_w)))

    tf_w counts word w in the text, n_w of the n train texts have it, and the columns of V are the
    first right singular vectors of the train texts' u / |u|; the largest entry of each is positive.
    A text without any known word is the zero vector; where the train texts span fewer directions
    than ``width``, the rest of every vector is zero.

    Options:
        width: directions kept
        ngrams: also count pairs (2), triples (3) of words that follow each other
        min_items: a word must be in so many train texts
        max_words: keep only the most frequent so many words
        sublinear: 1 + ln(tf) instead of tf
        steps: how a text becomes words

    Source: Deerwester et al. 1990, Indexing by latent semantic analysis; smoothed inverse
        frequencies and randomised SVD (Halko et al. 2011) by scikit-learn.
    """

    medium = Medium.TEXT
    fitted = True

    vocabulary: Tensor
    """uint8: JSON of the V words, in order."""
    rarity: Tensor
    """(V,) inverse document frequencies."""
    components: Tensor
    """(V, width)"""

    def __init__(
        self,
        *,
        width: PositiveInt = 128,
        ngrams: PositiveInt = 1,
        min_items: PositiveInt = 2,
        max_words: PositiveInt = 50_000,
        sublinear: bool = False,
        steps: Annotated[TextSteps, Section(TextSteps)] = TEXT_STEPS,
    ) -> None:
        super().__init__()
        self.spec = FeatureSpec(width)
        self.width, self.sublinear = width, sublinear
        self._words = Words(steps)
        self._counting = {
            "ngram_range": (1, ngrams),
            "min_df": min_items,
            "max_features": max_words,
            "sublinear_tf": sublinear,
            "tokenizer": str.split,
            "token_pattern": None,
            "lowercase": False,
        }
        self.prepare = PrepareWords(self._words)
        self.register_buffer("vocabulary", torch.zeros(0, dtype=torch.uint8))
        self.register_buffer("rarity", torch.zeros(0))
        self.register_buffer("components", torch.zeros(0, width))
        self._terms = self._vectorizer().build_analyzer()
        self._index: dict[str, int] = {}

    def source_id(self) -> str:
        """A hash of the versions of the libraries that cut texts into words."""
        return self._words.versions()

    def fit(self, samples: Iterable[Sample]) -> None:
        """Words, their rarity and the components, from train texts."""
        from sklearn.decomposition import TruncatedSVD

        vectorizer = self._vectorizer()
        try:
            weights = vectorizer.fit_transform(map(_string, samples))
        except ValueError as error:
            raise FusionlabError(
                f"encoder {self.name!r}: the train texts leave no word to count ({error}); "
                "lower min_items or let the steps keep more"
            ) from error
        svd = TruncatedSVD(
            min(self.width, weights.shape[1]), n_iter=ITERATIONS, random_state=0
        ).fit(weights)
        found = svd.singular_values_ > RELATIVE_ZERO * svd.singular_values_.max()
        components = np.zeros((weights.shape[1], self.width), dtype=np.float32)
        components[:, : len(found)] = svd.components_.T * found
        self._set("vocabulary", _bytes(json.dumps(vectorizer.get_feature_names_out().tolist())))
        self._set("rarity", torch.from_numpy(vectorizer.idf_).float())
        self._set("components", torch.from_numpy(components))

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """``words`` (B, L) places in the vocabulary and ``counts`` (B, L), padded with counts of
        zero."""
        if not self._index:
            self._index = {word: row for row, word in enumerate(self._vocabulary())}
        rows = [self._counted(one) for one in samples]
        longest = max(1, *map(len, rows))
        words = torch.zeros(len(rows), longest, dtype=torch.long)
        counts = torch.zeros(len(rows), longest)
        for row, found in enumerate(rows):
            if found:
                pairs = torch.tensor(found)
                words[row, : len(found)], counts[row, : len(found)] = pairs.unbind(1)
        return {"words": words, "counts": counts}

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, 1, width); every item is on."""
        words, counts = batch["words"], batch["counts"]
        if self.sublinear:
            counts = torch.where(counts > 0, 1 + counts.clamp(min=1).log(), 0)
        weights = F.normalize(counts * self.rarity[words], dim=1)
        values = F.embedding_bag(words, self.components, per_sample_weights=weights, mode="sum")
        return values[:, None], values.new_ones(len(values), 1, dtype=torch.bool)

    def _counted(self, sample: Sample) -> list[tuple[int, int]]:
        """Places of the known words, and how often each is there, in order."""
        places = (self._index.get(word) for word in self._terms(_string(sample)))
        return sorted(Counter(place for place in places if place is not None).items())

    def _vectorizer(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(**self._counting)

    def _vocabulary(self) -> list[str]:
        if not len(self.vocabulary):
            raise FusionlabError(
                f"encoder {self.name!r}: found no fit, expected a call of fit(train samples) or a "
                "loaded state before items are encoded"
            )
        words: list[str] = json.loads(_string({"words": self.vocabulary}))
        return words

    def _set(self, name: str, value: Tensor) -> None:
        setattr(self, name, value.to(getattr(self, name).device))
        self._index = {}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """A fit decides how many words there are, so buffers take the saved shape first."""
        for name in STATE:
            if prefix + name in state_dict:
                self._set(name, torch.empty_like(state_dict[prefix + name]))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _bytes(text: str) -> Tensor:
    return torch.tensor(np.frombuffer(text.encode(), dtype=np.uint8))


def _string(sample: Sample) -> str:
    return sample["words"].cpu().numpy().tobytes().decode()
