"""One small dataset in each format, written to disk; the tests break them one thing at a time."""

from pathlib import Path

import numpy as np


def table(rows, separator="\t"):
    return "".join(separator.join(map(str, row)) + "\n" for row in rows)


CLIPS = [
    ("userID", "itemID", "rating", "timestamp", "x_label"),
    (0, 0, 5, 10, 0),
    (0, 1, 4, 11, 1),
    (0, 2, 3, 12, 2),
    (7, 1, 5, 13, 0),
    (7, 3, 2, 14, 0),
]
SHOP = [
    ("user", "item", "time", "split"),
    ("ann", "mug", 1, "train"),
    ("ann", "cup", 2, "valid"),
    ("ann", "jug", 3, "test"),
    ("bob", "mug", 4, "train"),
    ("bob", "jug", 5, "train"),
]
SHOP_ITEMS = [
    ("item", "title", "brand"),
    ("mug", '"Mug, blue"', "clay"),
    ("cup", "Cup", "clay"),
    ("jug", "Jug", "glass"),
    ("pot", "Pot", "iron"),
]
FILMS = [
    ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
    ("u1", "alien", 5, 100),
    ("u1", "brazil", 3, 200),
    ("u1", "casablanca", 4, 300),
    ("u2", "brazil", 4.5, 250),
    ("u2", "alien", 2, 150),
    ("u2", "dune", 4, 350),
]
FILM_ITEMS = [
    ("item_id:token", "title:token_seq", "studio:token", "year:float", "plot_emb:float_seq"),
    ("eraserhead", "Eraserhead", "afi", 1977, "0.5 0.25"),
    ("alien", 'The "Alien" film', "fox", 1979, "1 2"),
    ("brazil", "Brazil", "universal", 1985, ""),
    ("casablanca", "Casablanca", "warner", 1942, "-1 1e-3"),
]
FILM_USERS = [("user_id:token", "city:token"), ("u1", "Oslo"), ("u2", "Rome")]


def array(rows, *shape, dtype=np.float32):
    """Numbers that differ in every cell and are never zero."""
    return (1 + np.arange(rows * int(np.prod(shape)))).reshape(rows, *shape).astype(dtype)


def write_clips(root: Path) -> Path:
    folder = root / "clips"
    folder.mkdir()
    (folder / "clips.inter").write_text(table(CLIPS))
    np.save(folder / "image_feat.npy", array(5, 3, dtype=np.float16))
    np.save(folder / "text_feat.npy", array(5, 2, 4))
    return folder


def write_shop(root: Path) -> Path:
    folder = root / "shop"
    (folder / "features").mkdir(parents=True)
    (folder / "interactions.csv").write_text(table(SHOP, ","))
    (folder / "items.csv").write_text(table(SHOP_ITEMS, ","))
    features = folder / "features"
    np.save(features / "text.npy", array(4, 3))
    np.save(features / "image.npy", array(3, 2))
    (features / "image.ids.csv").write_text("item\njug\nmug\ncup\n")
    np.save(features / "audio.npy", array(4, 2, 3))
    np.save(features / "audio.mask.npy", np.array([[1, 1], [1, 0], [0, 0], [1, 1]], dtype=bool))
    return folder


def write_films(root: Path) -> Path:
    folder = root / "films"
    folder.mkdir()
    (folder / "films.inter").write_text(table(FILMS))
    (folder / "films.item").write_text(table(FILM_ITEMS))
    (folder / "films.user").write_text(table(FILM_USERS))
    return folder
