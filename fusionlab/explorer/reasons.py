"""Reasons in words, where a language model was given to write them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from fusionlab.explorer.catalogue import Catalogue
from fusionlab.serving.greedy import Greedy
from fusionlab.serving.grounding import NAME
from fusionlab.serving.lists import Recommended
from fusionlab.serving.llm_reasons import Generate, ReasonWriter
from fusionlab.serving.llm_reasons import Recommended as Wanted


class Reasons:
    """Writes a reason for each item of a list, from its texts and from what its modalities count.

    Args:
        generate: as of `ReasonWriter`.
    """

    def __init__(self, generate: Generate) -> None:
        self.generate = generate
        self._writers: WeakKeyDictionary[Catalogue, ReasonWriter] = WeakKeyDictionary()
        self._writing = threading.Lock()

    def of(
        self, catalogue: Catalogue, found: Recommended, history: Sequence[int]
    ) -> dict[str, str]:
        """Reasons by item; none for an item of which nothing is said to have counted."""
        wanted = [
            Wanted(catalogue.rows[item.item], history, item.contributions or item.view_weights)
            for item in found.items
            if item.contributions or item.view_weights
        ]
        with self._writing:
            if catalogue not in self._writers:
                self._writers[catalogue] = self._writer(catalogue)
            written = self._writers[catalogue].write(wanted)
        return {catalogue.ids[reason.item]: reason.text for reason in written}

    def _writer(self, catalogue: Catalogue) -> ReasonWriter:
        rows = range(len(catalogue))
        titles = [catalogue.title(row) for row in rows]
        facts = [
            {name: text for name, text in catalogue.texts(row).items() if NAME.fullmatch(name)}
            for row in rows
        ]
        return ReasonWriter(self.generate, titles, facts)


def reasons_by(model: str) -> Reasons:
    """Reasons by a language model: a hub name, a folder or ``package:NAME``."""
    from fusionlab.serving.causal import load_causal_lm

    return Reasons(Greedy(load_causal_lm(model)))
