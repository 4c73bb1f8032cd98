import io

import numpy as np
import polars as pl
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fusionlab.data.formats.folder import Folder
from fusionlab.data.formats.recbole import RecBole
from fusionlab.data.formats.synthetic import Synthetic
from fusionlab.data.inspect import Coverage, MediaCoverage, Spread, inspect, render
from fusionlab.data.splits.leave_one_out import LeaveOneOut


def test_the_figures_of_a_small_shop(shop):
    with (shop / "interactions.csv").open("a") as file:
        file.write("bob,jug,9,train\nann,mug,9,test\ncat,cup,1,test\n")
    figures = inspect(Folder(path="shop").load())
    clicks = figures.clicks
    assert (figures.items, clicks.users) == (4, 3)
    assert clicks.by_split == {"train": 3, "valid": 1, "test": 2}
    assert clicks.sparsity == 0.5
    assert clicks.per_user == Spread(1, 2.0, 3)
    assert clicks.per_item == Spread(0, 2.0, 2)
    assert clicks.users_only_outside_train == 1
    assert clicks.items_only_outside_train == 1
    assert clicks.items_never_clicked == 1
    assert figures.duplicates_removed == 2
    assert figures.notes["pairs_in_several_splits"] == 1
    assert figures.modalities == {
        "audio": Coverage(3, 0.75, 3, 2, "float32"),
        "image": Coverage(3, 0.75, 2, 1, "float32"),
        "text": Coverage(4, 1.0, 3, 1, "float32"),
    }
    assert figures.items_without_modality == 0


def test_opening_the_test_split_is_written_down(shop):
    (entry,) = inspect(Folder(path="shop").load()).test_opened
    assert (entry["what"], entry["why"]) == ("test interactions", "counting for inspection")


def test_items_without_any_modality_are_counted(films):
    figures = inspect(RecBole(path="films", split=LeaveOneOut()).load())
    assert figures.items_without_modality == 2
    assert figures.modalities["plot_emb"].share == 3 / 5


def test_without_features_every_item_lacks_them_and_no_table_of_modalities_is_shown(films):
    (films / "films.item").unlink()
    figures = inspect(RecBole(path="films", split=LeaveOneOut()).load())
    assert figures.modalities == {}
    assert figures.items_without_modality == 4
    assert "modality" not in shown(figures)


def test_labels_are_counted_by_split():
    figures = inspect(Synthetic(task="classification", items=50, classes=3).load())
    assert figures.clicks is None
    assert sum(figures.classes[part] for part in ("train", "valid", "test")) == 50
    assert figures.classes["classes"] == 3
    assert "labelled items, train" in shown(figures)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_spread_is_that_of_numpy(counts):
    spread = Spread.of(torch.tensor(counts))
    assert spread == Spread(min(counts), float(np.median(counts)), max(counts))


def shown(figures):
    text = io.StringIO()
    Console(width=100, file=text).print(render(figures))
    return text.getvalue()


def test_what_is_shown_has_every_figure(shop):
    frame = pl.read_csv("shop/interactions.csv")
    pl.concat([frame, frame.head(2)]).write_csv("shop/interactions.csv")
    text = shown(inspect(Folder(path="shop", k_core=1).load()))
    rows = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        rows[cells[0]] = cells[1:]
    assert rows["users"] == ["2"]
    assert rows["clicks, train"] == ["3"]
    assert rows["clicks, test"] == ["1"]
    assert rows["sparsity"] == ["16.6667%"]
    assert rows["clicks per user (min / median / max)"] == ["2 / 2.5 / 3"]
    assert rows["duplicates removed"] == ["2"]
    assert rows["items below k core"] == ["1"]
    assert rows["audio"] == ["2", "66.67%", "3", "2", "float32"]


def test_columns_of_raw_media_are_counted_and_their_files_looked_for(shop):
    (shop / "cup.png").write_bytes(b"not opened")
    rows = "mug,Mug,nowhere.png\ncup,,cup.png\njug,Jug,\npot,Pot,\n"
    (shop / "items.csv").write_text("item,title,photo\n" + rows)
    data = Folder(path="shop", text_columns=("title",), image_columns=("photo",)).load()
    figures = inspect(data)
    assert figures.media == {
        "title": MediaCoverage("text", 3, 0.75, 0),
        "photo": MediaCoverage("image", 2, 0.5, 1),
    }
    (line,) = [line for line in shown(figures).splitlines() if "photo" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "photo",
        "image",
        "2",
        "50.00%",
        "1",
    ]


def test_without_raw_media_no_table_of_them_is_shown(shop):
    assert "raw media" not in shown(inspect(Folder(path="shop").load()))
