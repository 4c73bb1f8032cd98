"""Where to put labels so that they cover neither each other nor the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from scipy.optimize import isotonic_regression

T = TypeVar("T")
Floats = npt.NDArray[np.float64]

GAPS = (4.0, 8.0, 14.0, 22.0, 32.0, 44.0)
"""How far from its point a label may stand, in typographic points."""
LEADER = 10.0
"""From this distance on a line ties the label to its point."""
DIRECTIONS = np.array(
    [
        [x, y]
        for x in (1, 0, -1, 0.5, -0.5)
        for y in (0, 1, -1, 0.5, -0.5)
        if max(abs(x), abs(y)) == 1
    ],
    dtype=np.float64,
)
SWEEPS = 4
STOPS = 12


@dataclass(frozen=True)
class Places:
    """Where one label may stand: c shifts (c, 2) and gaps (c,) from its point, boxes (c, 4)."""

    shifts: Floats
    gaps: Floats
    boxes: Floats
    cost: Floats


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> Floats:
    """Centres of n boxes side by side within [low, high], as near as can be to those ``wanted``.

    With offsets c[i] = the heights below box i (in order), least squares under
    q[i+1] - q[i] >= c[i+1] - c[i] is the isotonic regression of wanted - c. Where the room is too
    small the boxes share it. The order of those wanted is kept.
    """
    values, sizes = np.asarray(wanted, dtype=np.float64), np.asarray(heights, dtype=np.float64)
    if len(values) == 0:
        return values
    order = np.argsort(values, kind="stable")
    sizes = sizes[order] * min(1.0, (high - low) / sizes.sum())
    offsets = np.cumsum(sizes) - sizes / 2
    fitted = isotonic_regression(values[order] - offsets).x
    positions = np.empty(len(values))
    positions[order] = np.clip(fitted, low, high - sizes.sum()) + offsets
    return positions


def place_labels(
    axes: Axes,
    points: Floats,
    texts: Sequence[str],
    colors: Sequence[str],
    obstacles: Sequence[Sequence[Bbox]],
    lines: Sequence[Bbox],
    size: float,
) -> None:
    """Label points (n, 2) of data coordinates near where they stand.

    Each label tries many directions at growing distance and takes the place that covers least:
    labels and ``obstacles`` (the boxes of each point, in pixels) weigh more than ``lines``, which a
    text may cross if it must; the tie between label and point should cross neither another point
    nor another label. A few sweeps let early labels make way for late ones. The layout of the
    figure must stand before (sizes are in pixels).
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    to_pixels = figure.dpi / 72
    pixels = axes.transData.transform(points)
    labels = [
        _label(axes, text, point, color, size)
        for text, point, color in zip(texts, points, colors, strict=True)
    ]
    places: list[Places] = []
    for i, label in enumerate(labels):
        extent = label.get_window_extent()
        half = np.array([extent.width, extent.height]) / 2
        shifts, gaps = _candidates(half, to_pixels)
        boxes = np.concatenate([pixels[i] + shifts - half, pixels[i] + shifts + half], axis=1)
        every = _extents([box for of in obstacles for box in of])
        foreign = _extents([box for of in _but(obstacles, i) for box in of])
        cost = (
            gaps / 100
            + 10 * _covered(boxes, every)
            + 5 * _crossed(pixels[i], boxes, foreign)
            + _covered(boxes, _extents(lines))
            + 1000 * _outside(boxes, axes.get_window_extent())
        )
        places.append(Places(shifts, gaps, boxes, cost))
    for i, (place, best) in enumerate(zip(places, _choose(places, pixels), strict=True)):
        labels[i].set_position(tuple(place.shifts[best] / to_pixels))
        if place.gaps[best] >= LEADER:
            _tie(axes, points[i], pixels[i], place.boxes[best], colors[i])


def _label(axes: Axes, text: str, point: Floats, color: str, size: float) -> Annotation:
    return axes.annotate(
        text,
        (float(point[0]), float(point[1])),
        xytext=(0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=size,
        color=color,
        parse_math=False,
    )


def _choose(places: Sequence[Places], pixels: Floats) -> list[int]:
    """The place of each label, given where the others stand."""
    chosen = [int(place.cost.argmin()) for place in places]
    for _ in range(SWEEPS):
        for i, place in enumerate(places):
            others = np.array(
                _but([of.boxes[j] for of, j in zip(places, chosen, strict=True)], i)
            ).reshape(-1, 4)
            cost = 10 * _covered(place.boxes, others)
            cost += 5 * _crossed(pixels[i], place.boxes, others)
            cost += 5 * _under_ties(
                place.boxes, _but(places, i), _but(chosen, i), _but([*pixels], i)
            )
            chosen[i] = int((place.cost + cost).argmin())
    return chosen


def _but(items: Sequence[T], index: int) -> list[T]:
    return [*items[:index], *items[index + 1 :]]


def _extents(boxes: Sequence[Bbox]) -> Floats:
    return np.array([box.extents for box in boxes]).reshape(-1, 4)


def _candidates(half: Floats, to_pixels: float) -> tuple[Floats, Floats]:
    """Shifts (c, 2) of a label's centre in pixels, and the gap (c,) of each in points."""
    gaps = np.repeat(GAPS, len(DIRECTIONS))
    directions = np.tile(DIRECTIONS, (len(GAPS), 1))
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return unit * gaps[:, None] * to_pixels + directions * half, gaps


def _covered(boxes: Floats, others: Floats) -> Floats:
    """The share of each box (c, 4) that others (o, 4) cover, and a half for each it touches."""
    if len(others) == 0:
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return (overlap / area[:, None]).sum(1) + 0.5 * (overlap > 0).sum(1)


def _crossed(pixel: Floats, boxes: Floats, others: Floats) -> Floats:
    """How many others (o, 4) lie on the way from a point to each box (c, 4)."""
    return _met(pixel, boxes, others).sum(1).astype(np.float64)


def _under_ties(
    boxes: Floats, places: Sequence[Places], chosen: Sequence[int], pixels: Sequence[Floats]
) -> Floats:
    """How many lines that tie other labels to their points run through each box (c, 4)."""
    found = np.zeros(len(boxes))
    for place, best, pixel in zip(places, chosen, pixels, strict=True):
        if place.gaps[best] >= LEADER:
            found += _met(pixel, place.boxes[best][None], boxes)[0]
    return found


def _met(pixel: Floats, boxes: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    """(c, o): does one of others (o, 4) lie on the way from a point to a box (c, 4)?"""
    nearest = np.clip(pixel, boxes[:, :2], boxes[:, 2:])
    way = pixel + np.linspace(0, 1, STOPS)[:, None, None] * (nearest - pixel)
    inside = (way[:, :, None] >= others[:, :2]) & (way[:, :, None] <= others[:, 2:])
    return np.asarray(inside.all(-1).any(0))


def _outside(boxes: Floats, frame: Bbox) -> Floats:
    left, bottom, right, top = frame.extents
    return (
        (boxes[:, 0] < left) | (boxes[:, 1] < bottom) | (boxes[:, 2] > right) | (boxes[:, 3] > top)
    ).astype(np.float64)


def _tie(axes: Axes, point: Floats, pixel: Floats, box: Floats, color: str) -> None:
    nearest = np.clip(pixel, box[:2], box[2:])
    end = axes.transData.inverted().transform(nearest)
    axes.plot(*np.stack([point, end]).T, color=color, linewidth=0.4, zorder=1)
