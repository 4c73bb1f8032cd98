"""What is compared with what, and how much faster the framework is meant to be."""

from __future__ import annotations

from dataclasses import dataclass

OURS = "fusionlab"
MODULES = {
    OURS: "fusionlab_peer",
    "MMRec": "mmrec_peer",
    "RecBole": "recbole_peer",
    "Cornac": "cornac_peer",
    "LensKit": "lenskit_peer",
    "ranx": "ranx_peer",
}
"""Toolkits by name. Adding one is a module (PACKAGES, `missing`, WORKS), a line here, and rows."""


@dataclass(frozen=True)
class Row:
    """``ours`` against ``theirs`` of a peer; ``target`` is times faster, None only reports."""

    title: str
    peer: str
    ours: str
    theirs: str
    target: float | None = None


def _rows(title: str, work: str, **targets: float | None) -> list[Row]:
    return [Row(title, peer, work, work, target) for peer, target in targets.items()]


GATED = "epoch of gated x 3 modalities, {}, against VBPR"
GROUPS: dict[str, list[Row]] = {
    "sampling": _rows("negatives of an epoch", "sampling", MMRec=15, RecBole=None),
    "bpr": _rows("epoch of BPR", "bpr", MMRec=4, RecBole=3, Cornac=None, LensKit=None),
    "vbpr": [
        Row("epoch of VBPR, fp32", "MMRec", "vbpr", "vbpr", 2.2),
        Row("epoch of VBPR, fp32", "Cornac", "vbpr", "vbpr", 2.5),
        Row("epoch of VBPR, bf16", "MMRec", "vbpr_bf16", "vbpr", 3.3),
        Row("epoch of VBPR, bf16", "Cornac", "vbpr_bf16", "vbpr", 4),
        Row(GATED.format("fp32"), "MMRec", "gated_3", "vbpr", 2),
        Row(GATED.format("bf16"), "MMRec", "gated_3_bf16", "vbpr", 3),
    ],
    "lightgcn": _rows("epoch of LightGCN-2", "lightgcn", MMRec=3, RecBole=2.5, LensKit=None),
    "evaluation": _rows("validation + test", "evaluation", MMRec=5, RecBole=15, Cornac=15),
    "metrics": _rows("metrics alone", "metrics", MMRec=50, ranx=15, LensKit=None),
    "start": _rows("start to first VBPR step", "start", MMRec=1 / 0.4),
}
"""Rows whose contenders take turns in the same rounds."""
