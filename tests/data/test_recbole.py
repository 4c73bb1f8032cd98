import pytest
import torch
from worlds import FILMS, table

from fusionlab.data.dataset import DATASETS
from fusionlab.data.formats.recbole import RecBole
from fusionlab.data.splits.group import Group
from fusionlab.data.splits.leave_one_out import LeaveOneOut
from fusionlab.errors import FusionlabError
from fusionlab.seal import Openings


def load(**options):
    return RecBole(path="films", split=options.pop("split", LeaveOneOut()), **options).load()


def titles(data, clicks, user):
    start, end = clicks.indptr[user : user + 2].tolist()
    return data.item_ids[clicks.items[start:end].tolist()].to_list()


def test_the_catalogue_is_the_union_of_items_and_clicks(films):
    data = load()
    assert data.name == "films"
    assert data.item_ids.to_list() == ["eraserhead", "alien", "brazil", "casablanca", "dune"]


def test_clicks_are_in_time_order(films):
    data = load()
    clicks = data.interactions
    assert clicks.user_ids.to_list() == ["u1", "u2"]
    assert [titles(data, clicks.train, user) for user in (0, 1)] == [["alien"], ["alien"]]
    assert [titles(data, clicks.valid, user) for user in (0, 1)] == [["brazil"], ["brazil"]]
    test = clicks.test.open(Openings(), "a test")
    assert [titles(data, test, user) for user in (0, 1)] == [["casablanca"], ["dune"]]


def test_a_sequence_of_floats_is_a_modality_and_an_empty_cell_is_missing(films):
    features = load().features
    assert features.modalities == ("plot_emb",)
    assert features.present("plot_emb").tolist() == [True, True, False, True, False]
    there = features.values["plot_emb"][features.mask["plot_emb"]]
    assert there.equal(torch.tensor([[0.5, 0.25], [1, 2], [-1, 1e-3]]))


def test_ratings_below_the_threshold_are_no_clicks_but_their_items_stay(films):
    rows = [*FILMS, ("u2", "casablanca", 5, 400), ("u2", "eraserhead", 4, 500)]
    (films / "films.inter").write_text(table(rows))
    data = load(min_rating=4)
    assert data.notes["clicks_below_min_rating"] == 2
    assert len(data.item_ids) == 5
    clicks = data.interactions
    assert [len(part) for part in (clicks.train, clicks.valid)] == [4, 1]


def test_users_without_a_click_left_are_not_users(films):
    (films / "films.inter").write_text(table([*FILMS, ("u3", "alien", 1, 1)]))
    assert load(min_rating=2).interactions.user_ids.to_list() == ["u1", "u2"]


@pytest.mark.parametrize("column", ["studio", "city", "rating"])
def test_groups_may_be_a_column_of_items_of_users_or_of_clicks(films, column):
    known = [("u1", "alien", 1, 1), ("u2", "brazil", 2, 2), ("u3", "casablanca", 3, 3)]
    (films / "films.inter").write_text(table([FILMS[0], *known]))
    users = [("user_id:token", "city:token"), ("u1", "Oslo"), ("u2", "Rome"), ("u3", "Bonn")]
    (films / "films.user").write_text(table(users))
    clicks = load(split=Group(column=column, valid=0.3, test=0.3)).interactions
    assert (len(clicks.train), len(clicks.valid)) == (1, 1)


def test_files_of_items_and_users_are_optional(films):
    (films / "films.item").unlink()
    (films / "films.user").unlink()
    data = load()
    assert data.features is None
    assert data.item_ids.to_list() == ["alien", "brazil", "casablanca", "dune"]


def test_other_names_of_columns(films):
    for file in films.iterdir():
        text = file.read_text()
        for old, new in (("user_id", "who"), ("item_id", "what"), ("timestamp", "when")):
            text = text.replace(old, new)
        file.write_text(text)
    part = DATASETS.parse(
        {
            "name": "recbole",
            "path": "films",
            "split": "leave_one_out",
            "user_column": "who",
            "item_column": "what",
            "time_column": "when",
        }
    )
    data = part.build().load()
    assert titles(data, data.interactions.valid, 1) == ["brazil"]


@pytest.mark.parametrize(("split", "column"), [("given", "split"), ("global_time", "time")])
def test_a_column_that_happens_to_be_called_split_or_time_is_not_taken_unchecked(
    films, split, column
):
    parts = ["train", "valid", "test", "train", "train", "train"]
    rows = [(*row[:2], part) for row, part in zip(FILMS[1:], parts, strict=True)]
    head = ("user_id:token", "item_id:token", f"{column}:token")
    (films / "films.inter").write_text(table([head, *rows]))
    part = DATASETS.parse({"name": "recbole", "path": "films", "split": split})
    with pytest.raises(FusionlabError, match=f"split '{split}': the clicks have no such column"):
        part.build().load()


def test_a_name_that_is_no_text_is_refused(films):
    (films / "films.inter").rename(films / "\udcff.inter")
    with pytest.raises(FusionlabError, match=r"found a file named b'.xff.inter', expected UTF-8"):
        RecBole(path="films", split=LeaveOneOut()).load()
