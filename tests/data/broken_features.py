"""Each way in which features can be broken: arrays, masks, ids, vectors in cells."""

import pickle
from pathlib import Path

import numpy as np
from breaking import both, cells, remove, save, text
from worlds import FILM_ITEMS, array, table

FEATURES = "shop/features/"


def with_nan(rows, width, row):
    values = array(rows, width)
    values[row, 1] = np.nan
    return values


def cut(path, size):
    return lambda: Path(path).write_bytes(Path(path).read_bytes()[:size])


def dump():
    Path("clips/text_feat.npy").write_bytes(pickle.dumps([1, 2]))


# (format, how it is broken, options, the message)
BROKEN = {
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
}
