"""A column of the feature store while it is being written.

Blocks of rows that are done are noted in a journal, so that who comes next goes on from there.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from fusionlab.data.arrays import open_array
from fusionlab.data.disk import reserve, whole, writing
from fusionlab.data.features import FeatureSpec
from fusionlab.data.sealed import sealed, write_sums
from fusionlab.encoders.contract import BadMedia, Fault
from fusionlab.encoders.store import ARRAYS, CARD, OK, REPORT, Encoded, Status, undamaged

JOURNAL, PLAN = "journal.jsonl", "plan.json"


class Column:
    """A column that is being written: rows of N items, in blocks of distinct new contents.

    Args:
        folder: where the finished column will be.
        contents: (N,) the content of each item, or why there is none.
        spec: the shape of the features.
        dtype: of the values.
        known: finished columns by the same encoding; a row of the same content is copied.
        cut: makes blocks of distinct new contents.
    """

    def __init__(
        self,
        folder: Path,
        contents: Sequence[Status],
        spec: FeatureSpec,
        dtype: np.dtype[Any],
        known: Sequence[Encoded],
        cut: Callable[[list[str]], list[list[str]]],
    ) -> None:
        self.folder, self.partial = folder, folder.with_suffix(".partial")
        self.contents = list(contents)
        self.rows: dict[str, list[int]] = {}
        for row, one in enumerate(contents):
            if one.status == OK:
                self.rows.setdefault(one.content, []).append(row)
        self.partial.mkdir(parents=True, exist_ok=True)
        self.faults: dict[str, BadMedia] = {}
        with undamaged(self.partial):
            self.values = self._array("values.npy", dtype, (len(contents), spec.tokens, spec.dim))
            self.mask = self._array("mask.npy", np.dtype(bool), (len(contents), spec.tokens))
            self.todo = self._planned(known, cut)
            self.done = self._journal()

    def _array(self, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Any:
        file = self.partial / name
        if file.exists():
            open_array(file)  # as long as it says, and no pickle
            old = open_memmap(file, mode="r+")
            if (old.dtype, old.shape) != (dtype, shape):
                raise ValueError(f"{name}: found {old.shape} of {old.dtype}")
            return old
        with writing(file), whole(file) as draft:
            new = open_memmap(draft, mode="w+", dtype=dtype, shape=shape)
            reserve(draft)
        return new

    def _planned(
        self, known: Sequence[Encoded], cut: Callable[[list[str]], list[list[str]]]
    ) -> list[list[str]]:
        """The blocks, fixed at the first start: batches are cut from them, and a batch decides
        over the last bits of its rows."""
        file = self.partial / PLAN
        if not file.exists():
            copied = self._copy(known)
            left = [content for content in self.rows if content not in copied]
            _write(file, json.dumps(cut(left)))
        plan = [list(one) for one in json.loads(file.read_text())]
        if not all(content in self.rows for block in plan for content in block):
            raise ValueError(f"{PLAN} names what is not in the catalogue")
        return plan

    def _copy(self, known: Sequence[Encoded]) -> set[str]:
        """Take over rows of contents that were encoded before; what was bad is tried again."""
        copied: set[str] = set()
        for other in known:
            rows: dict[str, int] = {}
            for row, one in enumerate(other.statuses):
                new = one.content in self.rows and one.content not in copied
                if new and one.status == OK:
                    rows.setdefault(one.content, row)
            if not rows:
                continue
            values, mask = other.checked().arrays()
            for content, row in rows.items():
                self._put(content, values[row], mask[row])
            copied |= rows.keys()
        self._flush()
        return copied

    def _journal(self) -> set[int]:
        done = set()
        file = self.partial / JOURNAL
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        for number, line in enumerate(lines):
            if not line.endswith("\n"):  # cut off: its block is done, and noted, again
                _write(file, "".join(lines[:number]))
                break
            entry = json.loads(line)
            done.add(entry["block"])
            told = entry["faults"].items()
            self.faults |= {c: BadMedia(Fault(fault), why) for c, (fault, why) in told}
        return done

    def _put(self, content: str, values: Any, mask: Any) -> None:
        """One content's tokens (T', d) and mask (T',) into the rows of all items that have it."""
        tokens = len(mask)
        self.values[self.rows[content], :tokens] = values
        self.mask[self.rows[content], :tokens] = mask

    def _flush(self) -> None:
        self.values.flush()
        self.mask.flush()

    def write(
        self,
        block: int,
        features: Mapping[str, tuple[Any, Any]],
        faults: Mapping[str, BadMedia],
    ) -> None:
        """A block's features by content, and its faults; it counts once the journal says so."""
        found = dict(faults)
        for content, (values, mask) in features.items():
            with np.errstate(over="ignore"):
                stored = values.astype(self.values.dtype, copy=False)
            if np.isfinite(stored).all():
                self._put(content, stored, mask)
            else:
                why = f"its features are beyond what {stored.dtype} holds"
                found[content] = BadMedia(Fault.CORRUPT, why)
        self._flush()
        self.faults |= found
        told = {content: [bad.fault, bad.why] for content, bad in found.items()}
        journal = self.partial / JOURNAL
        with writing(journal), journal.open("a") as file:
            file.write(json.dumps({"block": block, "faults": told}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.done.add(block)

    def finish(self, item_ids: Sequence[str], card: Mapping[str, Any]) -> Encoded:
        """Write report and card and give the column its name."""
        statuses = [
            Status.bad(one.content, self.faults[one.content]) if one.content in self.faults else one
            for one in self.contents
        ]
        report = self.partial / REPORT
        with writing(report), report.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["item", "status", "why", "content"])
            writer.writerows(
                [item, one.status, one.why, one.content]
                for item, one in zip(item_ids, statuses, strict=True)
            )
        self._flush()
        write_sums(self.partial, (*ARRAYS, REPORT))
        told = {**card, "features": self._hash(), "items": len(statuses)}
        _write(self.partial / CARD, sealed(told))
        os.replace(self.partial, self.folder)
        for name in (JOURNAL, PLAN):
            (self.folder / name).unlink(missing_ok=True)
        return Encoded(self.folder)

    def _hash(self) -> str:
        """SHA-256 of values and mask: what a run that reads them is known by."""
        digest = sha256(f"{self.values.dtype}{self.values.shape}".encode())
        for start in range(0, len(self.values), 4096):
            digest.update(self.values[start : start + 4096].tobytes())
            digest.update(self.mask[start : start + 4096].tobytes())
        return digest.hexdigest()


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with writing(file), whole(file) as draft:
        draft.write_text(text)
