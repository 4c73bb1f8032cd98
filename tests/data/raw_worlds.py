"""One small dataset with raw media in each format, written to disk; readers open no media."""

import json
from pathlib import Path

from worlds import table

RATED = [
    ("user_id:token", "item_id:token", "rating:float", "timestamp:float"),
    ("u1", "1", 5, 10),
    ("u1", "2", 3, 20),
    ("u1", "4", 4, 30),
    ("u2", "2", 4, 10),
    ("u2", "1", 1, 20),
    ("u2", "4", 5, 30),
]
MOVIES = [
    {"movie_id": 1, "title": "Alien", "plot": "In space.", "genre": "Horror", "poster": "1.jpg"},
    {"movie_id": 3, "title": "Dune", "plot": None, "genre": None},
    {"movie_id": 2, "title": "Brazil", "plot": " ", "genre": "Comedy"},
]
PAIRS = [
    ("user", "item", "timestamp"),
    ("u1", "7", 30),
    ("u1", "8", 10),
    ("u1", "9", 20),
    ("u2", "7", 1),
    ("u2", "9", 2),
    ("u2", "8", 3),
]
REVIEWS = [
    {"user_id": "ann", "parent_asin": "B01", "asin": "B0X", "rating": 5.0, "timestamp": 10},
    {"user_id": "ann", "parent_asin": "B02", "asin": "B02", "rating": 2, "timestamp": 20},
    {"user_id": "ann", "parent_asin": None, "asin": "B04", "rating": "4", "timestamp": 30},
    {"user_id": "bob", "asin": "B02", "rating": 5.0, "timestamp": 10, "images": [], "text": "?"},
    {"user_id": "bob", "parent_asin": "B01", "asin": "B01", "rating": 4.0, "timestamp": 5},
    {"user_id": "bob", "parent_asin": "B04", "asin": "B04", "rating": 1.0, "timestamp": 30},
]
URL = "https://images.example/I/"
PRODUCTS = [
    {
        "parent_asin": "B01",
        "title": "[Soap]",
        "features": ["Mild", None, " ", "Big"],
        "description": ["Foams.", 'Smells of "roses".'],
        "price": 3.5,
        "images": [
            {"variant": "PT01", "large": URL + "side.jpg"},
            {"variant": "MAIN", "large": URL + "small%2B1.jpg", "hi_res": None, "thumb": None},
        ],
        "details": {"Brand": "A"},
    },
    {"parent_asin": "B02", "title": None, "features": [], "description": None, "price": "None"},
    {"parent_asin": "B03", "title": "Comb", "description": "Plain.", "images": [None, {"x": 1}]},
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def touch(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(name.encode())


def write_movies(root: Path) -> Path:
    folder = root / "movies"
    folder.mkdir()
    (folder / "movies.inter").write_text(table(RATED))
    (folder / "items.jsonl").write_text(lines(MOVIES))
    touch(folder / "posters", "1.jpg", "2.PNG", "77.jpg", "notes.txt")
    return folder


def write_videos(root: Path) -> Path:
    folder = root / "videos"
    folder.mkdir()
    (folder / "videos_pairs.csv").write_text(table(PAIRS, ","))
    (folder / "videos_titles.csv").write_text('item,title\n7,"Cats, dancing"\n6,Rain\n8,\n')
    touch(folder / "covers", "7.jpg", "9.jpg")
    (folder / "covers.tar.gz").write_bytes(b"")
    touch(folder / "audio", "8.mp3", "6.mp3")
    return folder


def write_beauty(root: Path) -> Path:
    folder = root / "beauty"
    folder.mkdir()
    (folder / "All_Beauty.jsonl").write_text(lines(REVIEWS))
    (folder / "meta_All_Beauty.jsonl").write_text(lines(PRODUCTS))
    touch(folder / "images", "side.jpg", "small+1.jpg", "B04.png")
    return folder


def write_digits(root: Path, speakers=("ann", "bob", "cat"), takes=2) -> Path:
    folder = root / "digits"
    folder.mkdir()
    names = [
        f"{digit}_{speaker}_{take}.wav"
        for digit in range(10)
        for speaker in speakers
        for take in range(takes)
    ]
    touch(folder / "recordings", *names)
    return folder
