import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from click.testing import CliRunner
from worlds import SHOP, SHOP_ITEMS, array, table

from fusionlab.cli import main
from fusionlab.data.formats.folder import Folder
from fusionlab.data.media import Media, Medium
from fusionlab.data.splits.group import Group
from fusionlab.data.splits.leave_one_out import LeaveOneOut
from fusionlab.errors import FusionlabError


def names(data, clicks):
    users = data.interactions.user_ids[clicks.users.tolist()]
    return list(zip(users, data.item_ids[clicks.items.tolist()], strict=True))


def test_the_items_file_is_the_catalogue_and_the_split_column_the_split(shop):
    data = Folder(path="shop").load()
    assert data.name == "shop"
    assert data.item_ids.to_list() == ["mug", "cup", "jug", "pot"]
    clicks = data.interactions
    assert names(data, clicks.train) == [("ann", "mug"), ("bob", "mug"), ("bob", "jug")]
    assert names(data, clicks.valid) == [("ann", "cup")]


def test_rows_go_to_their_items_and_the_others_are_missing(shop):
    features = Folder(path="shop").load().features
    assert features.modalities == ("audio", "image", "text")
    assert features.values["text"][:, 0].equal(torch.from_numpy(array(4, 3)))
    assert features.mask["audio"].tolist() == [[True] * 2, [True, False], [False] * 2, [True] * 2]
    assert features.present("image").tolist() == [True, True, True, False]
    jug, mug, cup = torch.from_numpy(array(3, 2))
    assert features.values["image"][:3, 0].equal(torch.stack([mug, cup, jug]))


def test_what_a_mask_turns_off_may_be_anything(shop):
    broken = array(4, 2, 3)
    broken[1, 1], broken[2] = np.nan, np.inf
    same = Folder(path="shop").load()
    np.save("shop/features/audio.npy", broken)
    assert Folder(path="shop").load().fingerprint == same.fingerprint


def test_a_mask_of_items_is_one_of_all_their_tokens(shop):
    np.save("shop/features/audio.mask.npy", np.array([True, False, True, True]))
    mask = Folder(path="shop").load().features.mask["audio"]
    assert mask.tolist() == [[True] * 2, [False] * 2, [True] * 2, [True] * 2]


def test_ids_may_be_lines_of_text(shop):
    same = Folder(path="shop").load()
    (shop / "features/image.ids.csv").unlink()
    (shop / "features/image.ids.txt").write_text("jug\nmug\ncup\n")
    assert Folder(path="shop").load().fingerprint == same.fingerprint


def test_without_an_items_file_the_catalogue_is_what_has_features_or_clicks(shop):
    (shop / "items.csv").unlink()
    for name in ("text.npy", "audio.npy", "audio.mask.npy"):
        (shop / "features" / name).unlink()
    (shop / "features/image.ids.csv").write_text("item\nvase\nmug\ncup\n")
    data = Folder(path="shop").load()
    assert data.item_ids.to_list() == ["vase", "mug", "cup", "jug"]
    assert data.features.present("image").tolist() == [True, True, True, False]


def test_without_features(shop):
    for file in (shop / "features").iterdir():
        file.unlink()
    (shop / "features").rmdir()
    assert Folder(path="shop").load().features is None


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_same_tables_in_every_format_are_the_same_dataset(shop, ending):
    same = Folder(path="shop").load()
    for name in ("interactions", "items"):
        frame = pl.read_csv(shop / f"{name}.csv")
        (shop / f"{name}.csv").unlink()
        write = {"csv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet"}[ending]
        getattr(frame, write)(shop / f"{name}.{ending}")
    assert Folder(path="shop").load().fingerprint == same.fingerprint


@pytest.mark.parametrize("labels", [(0, 1, 2), ("train", "validation", "test")])
def test_splits_are_named_or_numbered(shop, labels):
    same = Folder(path="shop").load()
    words = dict(zip(("train", "valid", "test"), labels, strict=True))
    rows = [(*row[:3], words[row[3]]) for row in SHOP[1:]]
    (shop / "interactions.csv").write_text(table([SHOP[0], *rows], ","))
    assert Folder(path="shop").load().fingerprint == same.fingerprint


@pytest.mark.parametrize("kind", ["dates", "whole", "real", "past 2 ** 53"])
def test_times_are_numbers_or_dates(shop, kind):
    when = {
        "dates": [datetime.datetime(2024, 1, day) for day in (3, 1, 2)],
        "whole": [30, 1, 4],
        "real": [0.3, -1.0, 0.25],
        "past 2 ** 53": [2**60 + 3, 2**60 + 1, 2**60 + 2],
    }[kind]
    (shop / "interactions.csv").unlink()
    clicks = pl.DataFrame({"user": ["ann"] * 3, "item": ["mug", "cup", "jug"], "time": when})
    clicks.write_parquet(shop / "interactions.parquet")
    data = Folder(path="shop", split=LeaveOneOut()).load()
    assert names(data, data.interactions.train) == [("ann", "cup")]
    assert names(data, data.interactions.valid) == [("ann", "jug")]


def test_quoted_cells_may_hold_commas_and_line_breaks(shop):
    same = Folder(path="shop").load()
    rows = [SHOP_ITEMS[0], ("mug", '"Mug,\nblue ""XL"""', "clay"), *SHOP_ITEMS[2:]]
    (shop / "items.csv").write_text(table(rows, ","))
    assert Folder(path="shop").load().fingerprint == same.fingerprint


def test_other_names_of_columns(shop):
    same = Folder(path="shop").load()
    rows = [("who", "what", "when", "part"), *SHOP[1:]]
    (shop / "interactions.csv").write_text(table(rows, ","))
    (shop / "items.csv").write_text(table([("what", "title", "brand"), *SHOP_ITEMS[1:]], ","))
    (shop / "features/image.ids.csv").write_text("what\njug\nmug\ncup\n")
    options = {"time_column": "when", "split_column": "part"}
    data = Folder(path="shop", user_column="who", item_column="what", **options).load()
    assert data.fingerprint == same.fingerprint


def test_a_rating_column_is_read_if_there_is_a_threshold(shop):
    rows = [("user", "item", "stars", "split")]
    rows += [
        (*row[:2], stars, row[3]) for row, stars in zip(SHOP[1:], (5, 4, 3, 2, 5), strict=True)
    ]
    (shop / "interactions.csv").write_text(table(rows, ","))
    assert Folder(path="shop").load().notes["duplicates_removed"] == 0
    data = Folder(path="shop", min_rating=2.5, rating_column="stars").load()
    assert data.notes["clicks_below_min_rating"] == 1
    assert names(data, data.interactions.train) == [("ann", "mug"), ("bob", "jug")]


def test_groups_may_be_a_column_of_the_items(shop):
    rows = [("user", "item"), ("ann", "mug"), ("ann", "cup"), ("bob", "jug"), ("bob", "pot")]
    (shop / "interactions.csv").write_text(table(rows, ","))
    split = Group(column="brand", valid=0.34, test=0.34)
    data = Folder(path="shop", split=split).load()
    train = {item for _, item in names(data, data.interactions.train)}
    assert train in ({"mug", "cup"}, {"jug"}, {"pot"})


def test_columns_of_the_items_file_are_raw_media(shop):
    rows = [
        ("item", "title", "year", "photo", "clip"),
        ("mug", '"Mug, blue"', 1999, "photos/mug.png", ""),
        ("cup", '" "', "", "elsewhere/cup.png", "a.wav"),
        ("jug", "Jug", 2001, " ", "b.wav"),
        ("pot", "", 2002, "", ""),
    ]
    same = Folder(path="shop").load()
    (shop / "items.csv").write_text(table(rows, ","))
    data = Folder(
        path="shop",
        text_columns=("title", "year"),
        image_columns=("photo",),
        audio_columns=("clip",),
    ).load()
    folder = Path("shop")
    assert data.media == {
        "title": Media(Medium.TEXT, ["Mug, blue", None, "Jug", None]),
        "year": Media(Medium.TEXT, ["1999", None, "2001", "2002"]),
        "photo": Media(
            Medium.IMAGE, [folder / "photos/mug.png", folder / "elsewhere/cup.png", None, None]
        ),
        "clip": Media(Medium.AUDIO, [None, folder / "a.wav", folder / "b.wav", None]),
    }
    assert data.fingerprint == same.fingerprint


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_raw_media_are_the_same_in_every_format(shop, ending):
    frame = pl.DataFrame({"item": ["mug", "cup", "jug", "pot"], "title": ["Mug", None, "7", ""]})
    (shop / "items.csv").unlink()
    write = {"csv": "write_csv", "jsonl": "write_ndjson", "parquet": "write_parquet"}[ending]
    getattr(frame, write)(shop / f"items.{ending}")
    data = Folder(path="shop", text_columns=("title",)).load()
    assert data.media == {"title": Media(Medium.TEXT, ["Mug", None, "7", None])}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_folder_called_like_a_pattern_is_read_and_no_other(tmp_path, ending):
    for name, item in (("shop1", "wrong"), ("shop[1]", "right")):
        folder = tmp_path / name
        folder.mkdir()
        rows = {"user": ["ann"] * 3, "item": [item, "b", "c"], "split": ["train", "valid", "test"]}
        frame = pl.DataFrame(rows)
        write = frame.write_ndjson if ending == "jsonl" else getattr(frame, f"write_{ending}")
        write(folder / f"interactions.{ending}")
    assert "right" in Folder(path=str(tmp_path / "shop[1]")).load().item_ids


def test_a_name_that_is_no_text_is_refused(shop):
    (shop / "features" / "text.npy").rename(shop / "features" / "\udcff.npy")
    with pytest.raises(FusionlabError, match=r"found a file named b'.xff.npy', expected UTF-8"):
        Folder(path="shop").load()


def test_a_dataset_without_features_says_what_wants_some(shop):
    for file in Path("shop/features").iterdir():
        file.unlink()
    Path("x.yaml").write_text(f"dataset: {{name: folder, path: {shop}}}\n")
    result = CliRunner().invoke(main, ["run", "x.yaml"])
    said = " ".join(result.output.split())
    assert result.exit_code == 1
    assert "dataset 'shop' has no features, but recommender 'content' needs them: add" in said
