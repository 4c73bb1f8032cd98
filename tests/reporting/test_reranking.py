"""The table and the figure of a trial of reranking."""

import torch

from fusionlab.reporting.render import to_markdown
from fusionlab.reporting.reranking import reranking_figure, reranking_table
from fusionlab.serving.rerank_trial import METRICS, Trial


def judged(values):
    return dict.fromkeys(METRICS, torch.tensor(values))


BEFORE = [0.1, 0.2, 0.3, 0.4] * 10
TRIAL = Trial(
    judged(BEFORE),
    {"same": judged(BEFORE), "worse": judged([x - 0.1 for x in BEFORE])},
    {"likelihood": 1.5},
)


def test_a_row_an_order_beside_the_recommenders_own():
    table = reranking_table(TRIAL, "hybrid")
    labels = [row[0].text for row in table.rows()]
    assert labels == ["hybrid", "same", "worse"]
    _, same, worse = table.rows()
    assert same[1].value == 0.25
    assert same[2].text == "1.000"
    assert worse[1].text.startswith(".1500 (-0.1000")
    assert worse[2].value < 0.001
    assert "helps in: no row; it harms in: worse. Seconds a user: likelihood 1.50" in (
        to_markdown(table)
    )


def test_the_figure_has_a_bar_an_order():
    figure = reranking_figure(TRIAL)
    (axes,) = figure.axes
    assert [one.get_text() for one in axes.get_yticklabels()] == ["same", "worse"]
    assert "above the recommender's" in axes.get_xlabel()
