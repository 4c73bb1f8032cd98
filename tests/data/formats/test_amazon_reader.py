import gzip
import json
from pathlib import Path

import pytest
from raw_worlds import PRODUCTS, URL, lines, write_beauty

from fusionlab.data.formats.amazon_reviews_2023 import AmazonReviews2023
from fusionlab.data.media import Medium
from fusionlab.data.splits.leave_one_out import LeaveOneOut

IMAGES = Path("beauty/images")


@pytest.fixture
def beauty(home):
    return write_beauty(home)


def load(**options):
    return AmazonReviews2023(path="beauty", split=LeaveOneOut(), **options).load()


def compress(file):
    with gzip.open(file.with_name(file.name + ".gz"), "wb") as packed:
        packed.write(file.read_bytes())
    file.unlink()


def test_products_bring_texts_and_an_image(beauty):
    data = load()
    assert data.name == "All_Beauty"
    assert data.item_ids.to_list() == ["B01", "B02", "B03", "B04"]
    assert [column.medium for column in data.media.values()] == [Medium.TEXT] * 3 + [Medium.IMAGE]
    assert {name: list(column.entries) for name, column in data.media.items()} == {
        "title": ["[Soap]", None, "Comb", None],
        "features": ["Mild\nBig", None, None, None],
        "description": ['Foams.\nSmells of "roses".', None, "Plain.", None],
        "image": [IMAGES / "small+1.jpg", None, None, IMAGES / "B04.png"],
    }


def test_without_a_parent_the_asin_is_the_item(beauty):
    clicks = load().interactions
    assert clicks.user_ids.to_list() == ["ann", "bob"]
    assert clicks.train.items.tolist() == [0, 0]
    assert clicks.valid.items.tolist() == [1, 1]


def test_ratings_below_the_threshold_are_no_clicks(beauty):
    data = load(min_rating=2)
    assert data.notes["clicks_below_min_rating"] == 1


def test_compressed_files_are_the_same(beauty):
    same = load()
    for name in ("All_Beauty.jsonl", "meta_All_Beauty.jsonl"):
        compress(beauty / name)
    data = load()
    assert data.fingerprint == same.fingerprint
    assert data.media == same.media


def test_one_of_several_categories(beauty):
    (beauty / "meta_Toys.jsonl").write_text(lines(PRODUCTS))
    assert load(category="All_Beauty").name == "All_Beauty"


HIGH, LARGE = URL + "high._SL1500_.jpg", URL + "large.jpg"
FOUND = {
    "by the item before any URL": (["B09.jpg", "large.jpg"], [{"large": LARGE}], "B09.jpg"),
    "the greatest size": (
        ["high._SL1500_.png", "large.jpg"],
        [{"large": LARGE, "hi_res": HIGH}],
        "high._SL1500_.png",
    ),
    "a smaller one where the greatest is not there": (
        ["large.jpg"],
        [{"large": LARGE, "hi_res": HIGH}],
        "large.jpg",
    ),
    "the first where none is the main one": (
        ["high._SL1500_.png", "large.jpg"],
        [{"large": LARGE, "variant": "PT01"}, {"large": HIGH}],
        "large.jpg",
    ),
    "no image of another product": (["large.jpg"], [{"large": HIGH}], None),
    "no URL": (["large.jpg"], [{"large": None, "hi_res": ["x"]}], None),
    "no list": (["large.jpg"], LARGE, None),
}


@pytest.mark.parametrize(("files", "listed", "expected"), FOUND.values(), ids=list(FOUND))
def test_which_file_is_the_image(beauty, files, listed, expected):
    for name in files:
        (IMAGES / name).write_bytes(b"")
    with (beauty / "meta_All_Beauty.jsonl").open("a") as file:
        file.write(json.dumps({"parent_asin": "B09", "images": listed}) + "\n")
    data = load()
    found = data.media["image"].entries[data.item_ids.to_list().index("B09")]
    assert found == (IMAGES / expected if expected else None)
