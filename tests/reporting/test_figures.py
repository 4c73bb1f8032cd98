from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from fake_runs import MakeRow
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from fusionlab.errors import FusionlabError
from fusionlab.reporting.labels import place_labels, spread
from fusionlab.reporting.quality_against_cost import quality_against_cost
from fusionlab.reporting.seed_spread import seed_spread
from fusionlab.reporting.style import DOUBLE_WIDTH, SINGLE_WIDTH, save
from fusionlab.studies.record import Row


def boxes(figure: Figure) -> dict[str, np.ndarray]:
    figure.draw_without_rendering()
    return {
        text.get_text(): text.get_window_extent().extents
        for text in figure.axes[0].texts
        if isinstance(text, Annotation)
    }


def overlaps(first: np.ndarray, second: np.ndarray) -> bool:
    return bool((np.maximum(first[:2], second[:2]) < np.minimum(first[2:], second[2:])).all())


@pytest.mark.parametrize("width", [SINGLE_WIDTH, DOUBLE_WIDTH])
def test_labels_do_not_overlap(paper: list[Row], width: float) -> None:
    figure = quality_against_cost(paper, "ndcg@20", width=width)
    found = boxes(figure)
    assert len(found) == len(paper)
    labels = list(found)
    clashes = [
        (a, b) for i, a in enumerate(labels) for b in labels[:i] if overlaps(found[a], found[b])
    ]
    assert clashes == []
    right = figure.bbox.width
    assert all(box[0] >= 0 and box[2] <= right for box in found.values())


@pytest.mark.parametrize(("width", "named"), [(SINGLE_WIDTH, 10), (DOUBLE_WIDTH, 20)])
def test_points_that_are_too_many_for_names_are_numbered(make_row, width, named) -> None:
    rows = [
        make_row(f"strategy_{n}", level="model", mean=0.1 + 0.002 * n, seconds=10 + n % 9)
        for n in range(named + 1)
    ]
    figure = quality_against_cost(rows[1:], "ndcg@20", width=width)
    assert boxes(figure).keys() == {f"strategy_{n}" for n in range(1, named + 1)}
    figure = quality_against_cost(rows, "ndcg@20", width=width)
    found = boxes(figure)
    assert found.keys() == {str(n) for n in range(1, named + 2)}
    assert not [(a, b) for a in found for b in found if a < b and overlaps(found[a], found[b])]
    _, key = figure.legends
    told = [text.get_text() for text in key.get_texts()]
    assert told[0] == f"1  strategy_{named}"  # the best
    assert told[-1] == f"{named + 1}  strategy_0"
    frame = figure.axes[0].get_tightbbox()
    assert key.get_window_extent().y1 <= frame.y0
    ends = [text.get_window_extent() for text in key.get_texts()]
    assert max(end.x1 for end in ends) <= figure.bbox.width


@pytest.mark.parametrize("seed", range(8))
def test_no_tie_between_label_and_point_runs_through_another_label(seed: int) -> None:
    figure = Figure(figsize=(3.35, 3.2), dpi=300)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    points = np.random.default_rng(seed).uniform((1, 3), (5, 5), (6, 2))
    texts = ["sum", "concat", "mean_scores", "weighted_scores", "gated", "lowrank_tensor"]
    figure.draw_without_rendering()
    whiskers = np.array([[-0.1, -1.0], [0.1, 1.0]])
    obstacles = [[Bbox(axes.transData.transform(point + whiskers))] for point in points]
    place_labels(axes, points, texts, ["k"] * 6, obstacles, [], 7)
    for line in axes.lines:
        way = axes.transData.transform(line.get_xydata())
        along = way[0] + np.linspace(0, 0.95, 50)[:, None] * (way[1] - way[0])
        for text, box in boxes(figure).items():
            hit = ((along > box[:2] + 2) & (along < box[2:] - 2)).all(1)
            assert not hit.any(), text


def test_lines_out_of_view_are_named_at_the_edge(paper: list[Row]) -> None:
    found = {text.split()[0] for text in boxes(quality_against_cost(paper, "ndcg@20"))}
    assert {"↑", "↓", "best"} <= found


def test_points_stand_at_time_and_mean(make_row: MakeRow) -> None:
    rows = [make_row("sum", mean=0.1, seconds=10.0), make_row("gated", mean=0.2, seconds=30.0)]
    for cost, times in (("seconds", [20.0, 60.0]), ("seconds_per_epoch", [1.0, 3.0])):
        figure = quality_against_cost(rows, "recall@20", cost=cost)
        points = sorted(
            (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
            for line in figure.axes[0].lines
            if line.get_marker() == "D"
        )
        assert np.array(points) == pytest.approx(
            np.array(list(zip(times, [0.1, 0.2], strict=True)))
        )


def test_a_strategy_that_took_no_time_is_a_line(make_row: MakeRow) -> None:
    rows = [make_row("sum", seconds=0.0), make_row("gated", mean=0.21)]
    assert "sum .200" in boxes(quality_against_cost(rows, "recall@20"))
    with pytest.raises(FusionlabError, match="found no strategy that took time"):
        quality_against_cost(rows[:1], "recall@20")


def test_labels_are_text_not_formulas(make_row: MakeRow) -> None:
    rows = [make_row("a_$b", "control"), make_row("$\\frac{$"), make_row("c$_$d", level="model")]
    for figure in (quality_against_cost(rows, "ndcg@20"), seed_spread(rows, "ndcg@20")):
        figure.draw_without_rendering()


def test_every_seed_has_its_dot(paper: list[Row]) -> None:
    axes = seed_spread(paper, "recall@20").axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[0] == "popularity"
    assert set(names) == {row.label for row in paper}
    dots = {
        names[round(float(line.get_ydata()[0]))]: np.asarray(line.get_xdata())
        for line in axes.lines
        if line.get_markerfacecolor() == "none"
    }
    assert len(dots) == len(paper)
    assert dots["gated"] == pytest.approx([0.195, 0.205, 0.215])


def test_saved_twice_the_bytes_are_the_same(paper: list[Row], tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    for name, draw in (("cost", quality_against_cost), ("seeds", seed_spread)):
        first = save(draw(paper, "ndcg@20"), tmp_path / "first" / name)
        with mpl.rc_context({"font.size": 30, "axes.grid": True}):
            second = save(draw(paper, "ndcg@20"), tmp_path / "second" / name)
        assert [path.suffix for path in first] == [".pdf", ".png"]
        for a, b in zip(first, second, strict=True):
            assert a.read_bytes() == b.read_bytes()
        image = imread(first[1])
        assert image.shape[1] == round(DOUBLE_WIDTH * 300)
        assert 0.01 < float((image[..., :3].min(-1) < 0.9).mean()) < 0.5
    assert dict(mpl.rcParams) == before


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 3)), min_size=1, max_size=12),
)
def test_spread_keeps_boxes_apart_inside_and_in_order(boxes: list[tuple[float, float]]) -> None:
    wanted, heights = map(np.array, zip(*boxes, strict=True))
    found = spread(wanted, heights, 0.0, 10.0)
    sizes = heights * min(1.0, 10.0 / heights.sum())
    order = np.argsort(wanted, kind="stable")
    gaps = np.diff(found[order])
    assert (gaps >= (sizes[order][1:] + sizes[order][:-1]) / 2 - 1e-9).all()
    assert (found - sizes / 2 >= -1e-9).all()
    assert (found + sizes / 2 <= 10 + 1e-9).all()


def test_spread_leaves_alone_what_does_not_collide() -> None:
    assert spread([1.0, 9.0, 5.0], [1.0, 1.0, 1.0], 0.0, 10.0) == pytest.approx([1.0, 9.0, 5.0])
    assert spread([5.0, 5.0], [2.0, 2.0], 0.0, 10.0) == pytest.approx([4.0, 6.0])
