"""Each way in which tables of clicks and of items can be broken; `test_refusals` runs them."""

from breaking import both, cells, data, remove, text
from worlds import CLIPS, FILM_ITEMS, FILMS, SHOP, table

INTER, CSV, FILM = "clips/clips.inter", "shop/interactions.csv", "films/films.inter"
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
        "clips/clips.inter: no column 'userID' in the header: found the columns "
        "itemID, rating, timestamp, user_id, x_label, expected 'userID' among them; "
        "did you mean 'user_id'?",
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
        data(INTER, table(CLIPS).encode() + b"0\t1\t\xff\t1\t1\n"),
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
        "shop/interactions.csv: no column 'when' in the header: found the columns "
        "item, split, time, user, expected 'when' among them",
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
        "films/films.inter: split 'group': the clicks have no such column: found the columns "
        "city, item, item_id, plot_emb, rating, studio, time, timestamp, title, user, user_id, "
        "year, expected 'studios' among them; did you mean 'studio'?",
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
        "clips/clips.inter: found no rating of the clicks, which min_rating (4.0) reads; "
        "expected a column of ratings, or no min_rating",
    ),
    "too large a core": (
        "mmrec",
        both(),
        {"k_core": 3},
        "clips/clips.inter: k_core is 3, but no user and item would be left: "
        "expected a smaller number",
    ),
}
