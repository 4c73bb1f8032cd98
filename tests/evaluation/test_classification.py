import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score

from fusionlab.errors import FusionlabError
from fusionlab.evaluation.classification import classify

NAMES = ["bass", "drums", "voice"]


def onehot(predicted):
    return torch.nn.functional.one_hot(torch.tensor(predicted), len(NAMES)).float()


def test_a_worked_example() -> None:
    result = classify(onehot([0, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), NAMES)
    assert result.units.tolist() == [0, 1, 2, 3]
    assert result.per_unit["accuracy"].tolist() == [1, 1, 0, 1]
    assert result.means() == pytest.approx(
        {
            "accuracy": 3 / 4,
            "macro_precision": (1 + 1 / 2) / 2,
            "macro_recall": (2 / 3 + 1) / 2,
            "macro_f1": (4 / 5 + 2 / 3) / 2,
            "weighted_precision": (3 * 1 + 1 / 2) / 4,
            "weighted_recall": 3 / 4,
            "weighted_f1": (3 * 4 / 5 + 2 / 3) / 4,
        }
    )


def test_which_classes_are_averaged_does_not_depend_on_the_predictions() -> None:
    truth = torch.tensor([0, 0, 1, 1])
    stray = classify(onehot([0, 2, 1, 1]), truth, NAMES)
    other = classify(onehot([0, 1, 1, 1]), truth, NAMES)
    assert stray.overall["macro_recall"] == other.overall["macro_recall"] == 3 / 4


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_agrees_with_scikit_learn_and_is_bounded(pairs) -> None:
    truth, predicted = zip(*pairs, strict=True)
    means = classify(onehot(predicted), torch.tensor(truth), NAMES).means()
    assert all(0 <= value <= 1 for value in means.values())
    assert means["weighted_recall"] == pytest.approx(means["accuracy"])
    if set(predicted) <= set(truth) and len(set(truth)) > 1:
        assert means["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
        assert means["macro_recall"] == pytest.approx(balanced_accuracy_score(truth, predicted))


def test_units_are_the_rows_of_the_catalogue_and_ties_go_to_the_first_class() -> None:
    items = torch.tensor([7, 3])
    result = classify(torch.zeros(2, 3), torch.tensor([0, 1]), NAMES, items=items)
    assert torch.equal(result.units, items)
    assert result.per_unit["accuracy"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("logits", "classes", "message"),
    [
        (torch.zeros(2, 2), [0, 1], r"expected floating-point \(2, 3\)"),
        (torch.zeros(2, 3).long(), [0, 1], "of torch.int64, expected floating-point"),
        (torch.zeros(0, 3), [], "found no item"),
        (torch.zeros(2, 3), [0, 3], r"found 3 at item row 1, expected 0\.\.2"),
        (torch.tensor([[0.0, 1, 2], [torch.nan, 0, 0]]), [0, 1], "NaN at item row 1"),
    ],
)
def test_wrong_input(logits, classes, message) -> None:
    with pytest.raises(FusionlabError, match=message):
        classify(logits, torch.tensor(classes, dtype=torch.int64), NAMES)


def test_as_many_items_as_rows() -> None:
    with pytest.raises(FusionlabError, match="items: found 1, expected 2"):
        classify(torch.zeros(2, 3), torch.tensor([0, 1]), NAMES, items=torch.tensor([4]))
