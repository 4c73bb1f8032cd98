"""Each way in which data can be broken, and the one message that says so; the docs show each."""

import pickle
from pathlib import Path

import broken_raw
import numpy as np
import polars as pl
import pytest
from worlds import (
    CLIPS,
    FILM_ITEMS,
    FILMS,
    SHOP,
    array,
    table,
    write_clips,
    write_films,
    write_shop,
)

from fusionlab.data.dataset import DATASETS
from fusionlab.errors import FusionlabError

DOCS = Path(__file__).parents[2] / "docs" / "your-data.md"
WRITERS = {
    "mmrec": write_clips,
    "folder": write_shop,
    "recbole": write_films,
    **broken_raw.WRITERS,
}
PATHS = {"mmrec": "clips", "folder": "shop", "recbole": "films", **broken_raw.PATHS}
WHOLE = {family: {"split": "leave_one_out"} for family in PATHS} | {
    "mmrec": {},
    "folder": {},
    "av_digits": {"test": 1},
}


def text(path, content):
    return lambda: Path(path).write_text(content)


def remove(*paths):
    return lambda: [Path(path).unlink() for path in paths]


def save(path, values):
    return lambda: np.save(path, values)


def cells(world, row, column, value):
    """The table ``world`` with one cell changed."""
    rows = [list(cells) for cells in world]
    rows[row][column] = value
    return rows


def with_nan(rows, width, row):
    values = array(rows, width)
    values[row, 1] = np.nan
    return values


def cut(path, size):
    return lambda: Path(path).write_bytes(Path(path).read_bytes()[:size])


def both(*steps):
    return lambda: [step() for step in steps]


def dump():
    Path("clips/text_feat.npy").write_bytes(pickle.dumps([1, 2]))


INTER, CSV, FILM = "clips/clips.inter", "shop/interactions.csv", "films/films.inter"
FEATURES = "shop/features/"
ALL_TRAIN = [CLIPS[0]] + [(*row[:4], 0) for row in CLIPS[1:]]

# (format, how it is broken, options, the message)
BROKEN = {
    "no folder": (
        "mmrec",
        both(),
        {"path": "clip"},
        "dataset.path: found nothing at clip, expected a folder",
    ),
    "a file for a folder": (
        "mmrec",
        both(),
        {"path": INTER},
        "dataset.path: found a file at clips/clips.inter, expected a folder",
    ),
    "no clicks file": (
        "mmrec",
        remove(INTER),
        {},
        "clips: found no file *.inter, expected one",
    ),
    "no interactions": (
        "folder",
        remove(CSV),
        {},
        "shop: found no file interactions.csv or interactions.jsonl or interactions.parquet, "
        "expected one",
    ),
    "two clicks files": (
        "mmrec",
        text("clips/old.inter", table(CLIPS)),
        {},
        "clips: found clips.inter, old.inter, expected only one of them",
    ),
    "empty file": (
        "mmrec",
        text(INTER, ""),
        {},
        "clips/clips.inter: found an empty first line, expected the names of columns",
    ),
    "no rows": (
        "mmrec",
        text(INTER, table(CLIPS[:1])),
        {},
        "clips/clips.inter: found no row, expected at least one",
    ),
    "wrong header": (
        "mmrec",
        text(INTER, table(cells(CLIPS, 0, 0, "user_id"))),
        {},
        "clips/clips.inter: no column 'userID' in the header: found 'userID', expected one of: "
        "itemID, rating, timestamp, user_id, x_label; did you mean 'user_id'?",
    ),
    "a column twice": (
        "mmrec",
        text(INTER, table(cells(CLIPS, 0, 1, "userID"))),
        {},
        "clips/clips.inter: found the column 'userID' 2 times in the header, expected once",
    ),
    "short line": (
        "mmrec",
        text(INTER, table([*CLIPS, (1, 2)])),
        {},
        "clips/clips.inter, line 7: found 2 fields, expected 5 "
        "(userID, itemID, rating, timestamp, x_label)",
    ),
    "long line": (
        "folder",
        text(CSV, table([*SHOP[:2], ("ann", "cup", 2, "valid", "?"), *SHOP[3:]], ",")),
        {},
        "shop/interactions.csv, line 3: found 5 fields, expected 4 (user, item, time, split)",
    ),
    "blank line": (
        "recbole",
        text(FILM, table(FILMS) + "\n" + table(FILMS[1:])),
        {},
        "films/films.inter, line 8: found 0 fields, expected 4 "
        "(user_id:token, item_id:token, rating:float, timestamp:float)",
    ),
    "not text": (
        "mmrec",
        lambda: Path(INTER).write_bytes(table(CLIPS).encode() + b"0\t1\t\xff\t1\t1\n"),
        {},
        "clips/clips.inter: cannot be read: ...",
    ),
    "an id that is no number": (
        "mmrec",
        text(INTER, table(cells(CLIPS, 3, 1, "B07"))),
        {},
        "clips/clips.inter, line 4, column 'itemID': found 'B07', "
        "expected a whole number from 0 up",
    ),
    "a negative id": (
        "mmrec",
        text(INTER, table(cells(CLIPS, 2, 0, -1))),
        {},
        "clips/clips.inter, line 3, column 'userID': found '-1', expected a whole number from 0 up",
    ),
    "an empty id": (
        "folder",
        text(CSV, table(cells(SHOP, 4, 0, ""), ",")),
        {},
        "shop/interactions.csv, row 4, column 'user': found nothing, expected an id",
    ),
    "an id beyond the features": (
        "mmrec",
        text(INTER, table(cells(CLIPS, 5, 1, 5))),
        {},
        "clips/clips.inter, line 6, column 'itemID': found '5', "
        "expected one of the 5 items of the dataset",
    ),
    "an unknown item": (
        "folder",
        text(CSV, table(cells(SHOP, 2, 1, "cups"), ",")),
        {},
        "shop/interactions.csv, row 2, column 'item': found 'cups', "
        "expected one of the 4 items of the dataset",
    ),
    "a wrong x_label": (
        "mmrec",
        text(INTER, table(cells(CLIPS, 5, 4, 3))),
        {},
        "clips/clips.inter, line 6, column 'x_label': found '3', expected one of: 0, 1, 2",
    ),
    "a wrong split": (
        "folder",
        text(CSV, table(cells(SHOP, 1, 3, "dev"), ",")),
        {},
        "shop/interactions.csv, row 1, column 'split': found 'dev', "
        "expected one of: 0, 1, 2, train, valid, validation, test",
    ),
    "a time that is none": (
        "recbole",
        text(FILM, table(cells(FILMS, 3, 3, "nan"))),
        {},
        "films/films.inter, line 4, column 'timestamp': found 'nan', expected a finite number",
    ),
    "a missing time": (
        "folder",
        text(CSV, table(cells(SHOP, 3, 2, ""), ",")),
        {},
        "shop/interactions.csv, row 3, column 'time': found nothing, expected a finite number",
    ),
    "lists in a column": (
        "folder",
        both(
            remove(CSV),
            text("shop/interactions.jsonl", '{"user": "ann", "item": ["mug", "cup"]}\n'),
        ),
        {},
        "shop/interactions.jsonl: found lists or objects in the column 'item', "
        "expected one value in each row",
    ),
    "broken JSON": (
        "folder",
        both(
            remove("shop/items.csv"), text("shop/items.jsonl", '{"item": "mug"}\n{"item": "cup"\n')
        ),
        {},
        "shop/items.jsonl, line 2: Expecting ',' delimiter at character 15, "
        "expected one JSON object",
    ),
    "JSON that is no object": (
        "folder",
        both(remove("shop/items.csv"), text("shop/items.jsonl", '{"item": "mug"}\n"cup"\n')),
        {},
        "shop/items.jsonl, line 2: found str, expected a JSON object",
    ),
    "no Parquet": (
        "folder",
        both(remove("shop/items.csv"), text("shop/items.parquet", "item,title\n")),
        {},
        "shop/items.parquet: cannot be read: ...",
    ),
    "an item twice": (
        "folder",
        text("shop/items.csv", "item,title\nmug,Mug\ncup,Cup\nmug,Mug again\n"),
        {},
        "shop/items.csv, row 3, column 'item': found 'mug', expected each item once",
    ),
    "a film twice": (
        "recbole",
        text("films/films.item", table([*FILM_ITEMS, FILM_ITEMS[2]])),
        {},
        "films/films.item, line 6, column 'item_id': found 'alien', expected each id once",
    ),
    "no named column": (
        "folder",
        both(),
        {"time_column": "when"},
        "shop/interactions.csv: no column 'when' in the header: found 'when', "
        "expected one of: item, split, time, user",
    ),
    "no type in the head": (
        "recbole",
        text(FILM, table(cells(FILMS, 0, 2, "rating"))),
        {},
        "films/films.inter: found the column head 'rating', expected name:type; type: found '', "
        "expected one of: float, float_seq, token, token_seq",
    ),
    "a wrong type in the head": (
        "recbole",
        text(FILM, table(cells(FILMS, 0, 2, "rating:floats"))),
        {},
        "films/films.inter: found the column head 'rating:floats', expected name:type; type: "
        "found 'floats', expected one of: float, float_seq, token, token_seq; "
        "did you mean 'float'?",
    ),
    "a head twice": (
        "recbole",
        text(FILM, table(cells(FILMS, 0, 2, "item_id:float"))),
        {},
        "films/films.inter: found the column 'item_id' twice, expected once",
    ),
    "vectors of two widths": (
        "recbole",
        text("films/films.item", table(cells(FILM_ITEMS, 4, 4, "1 2 3"))),
        {},
        "films/films.item, line 5, column 'plot_emb': found '1 2 3', expected 2 numbers as in the "
        "first (call it token_seq if it is no feature)",
    ),
    "a vector with a word": (
        "recbole",
        text("films/films.item", table(cells(FILM_ITEMS, 2, 4, "1 none"))),
        {},
        "films/films.item, line 3, column 'plot_emb': found '1 none', expected finite numbers; "
        "leave the cell empty if it is missing",
    ),
    "no vector at all": (
        "recbole",
        text(
            "films/films.item", table([FILM_ITEMS[0], *([*row[:4], ""] for row in FILM_ITEMS[1:])])
        ),
        {},
        "films/films.item: the column 'plot_emb' is empty, expected some vectors",
    ),
    "NaN": (
        "mmrec",
        save("clips/image_feat.npy", with_nan(5, 3, row=2)),
        {},
        "clips/image_feat.npy, row 2 (the first is 0): found nan, expected finite numbers; "
        "to call a row missing, fill it with zeros and set zero_rows_are_missing: true",
    ),
    "NaN of one's own": (
        "folder",
        save(FEATURES + "text.npy", with_nan(4, 3, row=3)),
        {},
        "shop/features/text.npy, row 3 (the first is 0): found nan, expected finite numbers; "
        "to call a row missing, turn it off in features/text.mask.npy",
    ),
    "infinity": (
        "mmrec",
        save("clips/image_feat.npy", np.full((5, 3), np.inf, dtype=np.float16)),
        {},
        "clips/image_feat.npy, row 0 (the first is 0): found inf, expected finite numbers; "
        "to call a row missing, fill it with zeros and set zero_rows_are_missing: true",
    ),
    "a pickle in an array": (
        "mmrec",
        save("clips/text_feat.npy", np.array([{"a": 1}] * 5, dtype=object)),
        {},
        "clips/text_feat.npy: found pickled Python objects, expected plain numbers: "
        "pickles are not opened",
    ),
    "a pickle": (
        "mmrec",
        dump,
        {},
        "clips/text_feat.npy: not a .npy file of format 1 or 2, expected what numpy.save writes",
    ),
    "a truncated array": (
        "mmrec",
        cut("clips/text_feat.npy", 200),
        {},
        "clips/text_feat.npy: found 200 bytes, expected 288 for shape (5, 2, 4) of float32: "
        "the file is truncated",
    ),
    "an array of four axes": (
        "mmrec",
        save("clips/text_feat.npy", array(5, 2, 2, 2)),
        {},
        "clips/text_feat.npy: found shape (5, 2, 2, 2), "
        "expected (items, width) or (items, tokens, width)",
    ),
    "an array of integers": (
        "mmrec",
        save("clips/text_feat.npy", array(5, 2, dtype=np.int64)),
        {},
        "clips/text_feat.npy: found type int64, expected float16, float32 or float64",
    ),
    "features that differ in rows": (
        "mmrec",
        save("clips/text_feat.npy", array(6, 2)),
        {},
        "clips/text_feat.npy: found 6 feature rows, expected 5 as in image_feat.npy: "
        "item i owns row i of both",
    ),
    "a name that is taken": (
        "mmrec",
        save("clips/fused_feat.npy", array(5, 2)),
        {},
        "clips/fused_feat.npy: found the modality name 'fused', expected any other: the one "
        "view of all modalities is called so",
    ),
    "too few feature rows": (
        "folder",
        save(FEATURES + "text.npy", array(3, 2)),
        {},
        "shop/features/text.npy: found 3 feature rows, expected 4, one an item",
    ),
    "too few ids": (
        "folder",
        text(FEATURES + "image.ids.csv", "item\njug\nmug\n"),
        {},
        "shop/features/image.npy: found 3 feature rows, expected 2, one an id of "
        "shop/features/image.ids.csv",
    ),
    "an id without an item": (
        "folder",
        text(FEATURES + "image.ids.csv", "item\njug\nmugs\ncup\n"),
        {},
        "shop/features/image.ids.csv, row 2, column 'item': found 'mugs', "
        "expected one of the 4 items of the dataset",
    ),
    "an id twice": (
        "folder",
        text(FEATURES + "image.ids.csv", "item\njug\nmug\njug\n"),
        {},
        "shop/features/image.ids.csv, row 3, column 'item': found 'jug', expected each item once",
    ),
    "a mask of another shape": (
        "folder",
        save(FEATURES + "audio.mask.npy", np.ones((4, 3), dtype=bool)),
        {},
        "shop/features/audio.mask.npy: found shape (4, 3), expected (4,) or (4, 2)",
    ),
    "a mask of numbers": (
        "folder",
        save(FEATURES + "audio.mask.npy", np.ones(4)),
        {},
        "shop/features/audio.mask.npy: found type float64, expected bool, true = present",
    ),
    "a mask without features": (
        "folder",
        save(FEATURES + "adio.mask.npy", np.ones(4, dtype=bool)),
        {},
        "shop/features/adio.mask.npy: found no adio.npy beside it, expected one",
    ),
    "rows of unknown items": (
        "folder",
        both(remove("shop/items.csv"), remove(FEATURES + "audio.npy", FEATURES + "audio.mask.npy")),
        {},
        "shop/features/text.npy: found neither an items file nor text.ids.csv, "
        "expected one of them to say which item a row belongs to",
    ),
    "an empty split": (
        "mmrec",
        text(INTER, table(ALL_TRAIN)),
        {},
        "clips/clips.inter: split: found no click in valid, expected at least one "
        "(5 clicks in all)",
    ),
    "a split without its column": (
        "recbole",
        both(),
        {"split": {"name": "group", "column": "studios"}},
        "films/films.inter: split 'group': the clicks have no such column: found 'studios', "
        "expected one of: city, item, item_id, plot_emb, rating, studio, time, timestamp, title, "
        "user, user_id, year; did you mean 'studio'?",
    ),
    "a group without a value": (
        "recbole",
        both(),
        {"split": {"name": "group", "column": "studio"}},
        "films/films.inter: split 'group': 1 of 6 clicks have nothing in the column 'studio', "
        "expected a value in each",
    ),
    "no rating": (
        "mmrec",
        text(INTER, table([(*row[:2], row[4]) for row in CLIPS])),
        {"min_rating": 4},
        "clips/clips.inter: min_rating is 4.0, but the clicks have no rating",
    ),
    "too large a core": (
        "mmrec",
        both(),
        {"k_core": 3},
        "clips/clips.inter: k_core is 3, but no user and item would be left: "
        "expected a smaller number",
    ),
    **broken_raw.BROKEN,
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=list(BROKEN))
def test_broken_data_is_refused_with_the_message_in_the_docs(case, home):
    family, break_it, options, message = case
    WRITERS[family](home)
    break_it()
    part = DATASETS.parse({"name": family, "path": PATHS[family], **options})
    with pytest.raises(FusionlabError) as error:
        part.build().load()
    if message.endswith("..."):  # the rest is in the words of polars
        assert str(error.value).startswith(message.removesuffix("..."))
    else:
        assert str(error.value) == message
    assert f"`{message}`" in DOCS.read_text()


@pytest.mark.parametrize("family", WRITERS)
def test_the_worlds_that_are_broken_above_are_whole(family, home):
    WRITERS[family](home)
    DATASETS.parse({"name": family, "path": PATHS[family], **WHOLE[family]}).build().load()


def test_the_docs_show_no_message_that_does_not_occur():
    shown = [line for line in DOCS.read_text().splitlines() if line.startswith("- `")]
    messages = [line.removeprefix("- `").partition("`")[0] for line in shown]
    assert sorted(messages) == sorted(case[3] for case in BROKEN.values())


def test_a_column_from_parquet_that_holds_no_number_where_one_is_due(home):
    write_shop(home)
    Path(CSV).unlink()
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["mug", "cup"], "time": [1.0, None]})
    frame.write_parquet("shop/interactions.parquet")
    part = DATASETS.parse({"name": "folder", "path": "shop"})
    with pytest.raises(FusionlabError, match="row 2, column 'time': found nothing, expected a fin"):
        part.build().load()
