"""Each way in which data with raw media can be broken; `test_refusals` runs them."""

import shutil
from pathlib import Path

from breaking import both, data, remove, rename, text
from raw_worlds import (
    MOVIES,
    PRODUCTS,
    REVIEWS,
    lines,
    touch,
    write_beauty,
    write_digits,
    write_movies,
    write_videos,
)
from worlds import SHOP_ITEMS

WRITERS = {
    "movielens": write_movies,
    "microlens": write_videos,
    "amazon_reviews_2023": write_beauty,
    "av_digits": write_digits,
}
PATHS = {
    "movielens": "movies",
    "microlens": "videos",
    "amazon_reviews_2023": "beauty",
    "av_digits": "digits",
}
PAIRS, TSV = "videos/videos_pairs.csv", "videos/videos_pairs.tsv"


# (format, how it is broken, options, the message)
BROKEN = {
    "text without items": (
        "folder",
        remove("shop/items.csv"),
        {"text_columns": ["title"]},
        "shop: found no file items.csv or items.jsonl or items.parquet, expected one",
    ),
    "an image column that is not there": (
        "folder",
        both(),
        {"image_columns": ["photo"]},
        "shop/items.csv: no column 'photo' in the header: found the columns "
        "brand, item, title, expected 'photo' among them",
    ),
    "an image outside the folder": (
        "folder",
        text(
            "shop/items.csv",
            "item,photo\nmug,a.png\ncup,../a.png\njug,\npot,\n",
        ),
        {"image_columns": ["photo"]},
        "shop/items.csv, row 2, column 'photo': found '../a.png', expected a path inside shop",
    ),
    "a column of two media": (
        "folder",
        both(),
        {"text_columns": ["title"], "audio_columns": ["title"]},
        "text_columns, image_columns, audio_columns: found 'title' 2 times, "
        "expected each column once",
    ),
    "lists of texts": (
        "folder",
        both(
            remove("shop/items.csv"),
            text("shop/items.jsonl", lines({"item": row[0], "tags": []} for row in SHOP_ITEMS[1:])),
        ),
        {"text_columns": ["tags"]},
        "shop/items.jsonl: found lists or objects in the column 'tags', "
        "expected one value in each row",
    ),
    "no films": (
        "movielens",
        remove("movies/items.jsonl"),
        {},
        "movies: found no file items.jsonl, expected one",
    ),
    "a film's plot twice": (
        "movielens",
        text("movies/items.jsonl", lines([*MOVIES, MOVIES[0]])),
        {},
        "movies/items.jsonl, row 4, column 'movie_id': found 1, expected each id once",
    ),
    "two posters of a film": (
        "movielens",
        data("movies/posters/1.png", b""),
        {},
        "movies/posters: found 1.jpg, 1.png, expected only one of them",
    ),
    "no pairs": (
        "microlens",
        remove(PAIRS),
        {},
        "videos: found no file *_pairs.csv or *_pairs.tsv, expected one",
    ),
    "two files of titles": (
        "microlens",
        text("videos/videos_title_en.csv", "item,title\n7,Cats\n"),
        {},
        "videos: found videos_title_en.csv, videos_titles.csv, expected only one of them",
    ),
    "titles without a header": (
        "microlens",
        text("videos/videos_titles.csv", "7,Cats\n8,Rain\n"),
        {},
        "videos/videos_titles.csv: no column 'item' in the header: found the columns "
        "7, Cats, expected 'item' among them",
    ),
    "a user without items": (
        "microlens",
        both(remove(PAIRS), text(TSV, "u1\t7 8 9\nu2\t\n")),
        {},
        "videos/videos_pairs.tsv, line 2, column 'item': found nothing, expected an id",
    ),
    "no products": (
        "amazon_reviews_2023",
        remove("beauty/meta_All_Beauty.jsonl"),
        {},
        "beauty: found no file meta_*.jsonl or meta_*.jsonl.gz, expected one",
    ),
    "products of two categories": (
        "amazon_reviews_2023",
        text("beauty/meta_Toys.jsonl", lines(PRODUCTS)),
        {},
        "beauty: found meta_All_Beauty.jsonl, meta_Toys.jsonl, expected only one of them",
    ),
    "no reviews": (
        "amazon_reviews_2023",
        rename("beauty/All_Beauty.jsonl", "beauty/reviews.jsonl"),
        {},
        "beauty: found no file All_Beauty.jsonl or All_Beauty.jsonl.gz, expected one",
    ),
    "a cut archive": (
        "amazon_reviews_2023",
        both(
            remove("beauty/All_Beauty.jsonl"),
            data("beauty/All_Beauty.jsonl.gz", b"\x1f\x8b\x08\x00"),
        ),
        {},
        "beauty/All_Beauty.jsonl.gz: cannot be read: ...",
    ),
    "a review of nothing": (
        "amazon_reviews_2023",
        text("beauty/All_Beauty.jsonl", lines([*REVIEWS, {"user_id": "ann", "timestamp": 3}])),
        {},
        "beauty/All_Beauty.jsonl, row 7, column 'parent_asin': found nothing, expected an id",
    ),
    "a rating that is none": (
        "amazon_reviews_2023",
        text("beauty/All_Beauty.jsonl", lines([{**REVIEWS[0], "rating": [5]}, *REVIEWS[1:]])),
        {"min_rating": 3},
        "beauty/All_Beauty.jsonl, row 1, column 'rating': found '[5]', expected a finite number",
    ),
    "a product twice": (
        "amazon_reviews_2023",
        text("beauty/meta_All_Beauty.jsonl", lines([*PRODUCTS, PRODUCTS[1]])),
        {},
        "beauty/meta_All_Beauty.jsonl, row 4, column 'parent_asin': found 'B02', "
        "expected each id once",
    ),
    "no recording": (
        "av_digits",
        both(lambda: shutil.rmtree("digits/recordings"), lambda: touch(Path("digits/recordings"))),
        {"test": 1},
        "digits/recordings: found no file *.wav, expected some, named "
        "{digit}_{speaker}_{index}.wav",
    ),
    "a recording of another name": (
        "av_digits",
        data("digits/recordings/seven_ann_1.wav", b""),
        {"test": 1},
        "digits/recordings: found seven_ann_1.wav, expected {digit}_{speaker}_{index}.wav",
    ),
    "too few speakers": (
        "av_digits",
        both(),
        {"valid": 1, "test": 2},
        "digits: found 3 speakers (ann, bob, cat), expected more than valid + test = 3",
    ),
}
