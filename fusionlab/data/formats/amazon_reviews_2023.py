"""Amazon Reviews 2023: reviews as clicks, products with texts and images."""

from __future__ import annotations

import json
from dataclasses import replace
from glob import escape
from pathlib import Path
from posixpath import basename, splitext
from typing import Annotated, Any
from urllib.parse import unquote

import polars as pl
from pydantic import Field

from fusionlab.data.assemble import CoreSize, Found, assemble
from fusionlab.data.clicks import read_clicks, union
from fusionlab.data.dataset import DATASETS, Dataset, DatasetFormat
from fusionlab.data.media import Media, Medium
from fusionlab.data.media_columns import aligned, files_by_stem, texts
from fusionlab.data.privacy import OPEN, PrivacyOptions
from fusionlab.data.splits import Split
from fusionlab.data.table_files import existing_folder, only_file, read_jsonl
from fusionlab.data.tables import Table

USER, ITEM, VARIANT, RATING, TIME = "user_id", "parent_asin", "asin", "rating", "timestamp"
SIZES = ("hi_res", "large", "thumb")
ENDINGS = (".jsonl", ".jsonl.gz")


@DATASETS.register("amazon_reviews_2023")
class AmazonReviews2023(DatasetFormat):
    """A folder with a category of Amazon Reviews 2023 (Hou et al., 2024).

    ``CATEGORY.jsonl`` has a review a line (user_id, parent_asin, rating, timestamp),
    ``meta_CATEGORY.jsonl`` a product a line (parent_asin, title, features, description, images);
    both may be compressed (``.jsonl.gz``). An item is a parent_asin, or the asin where there is
    none; the catalogue is every item of the metadata and the reviews. Raw media: the texts
    ``title``, ``features`` and ``description`` (the parts of a list joined by line breaks), and the
    ``image``: of the folder of images the file called after the item, else the one called as in
    the product's main image's URL, hi_res before large. An item lacks what is null, empty or not
    in the folder.

    Options:
        path: the folder
        category: which one, where there are several
        split: which click is train, validation or test; default: ratio
        min_rating: implicit feedback: keep only clicks rated at least this
        k_core: keep only users and items with at least this many clicks; 0 keeps all
        images: the folder of images, inside the folder
        privacy: hash_key, users under hashes; without_users, a file of users to read without
    """

    def __init__(
        self,
        *,
        path: str,
        category: Annotated[str, Field(min_length=1)] | None = None,
        split: Split | None = None,
        min_rating: float | None = None,
        k_core: CoreSize = 0,
        images: str = "images",
        privacy: PrivacyOptions = OPEN,
    ) -> None:
        self.privacy = privacy
        self.path, self.category, self.images = path, category, images
        self.split, self.min_rating, self.k_core = split, min_rating, k_core

    def load(self) -> Dataset:
        """Read reviews and products, find the images, check, split."""
        folder = existing_folder(self.path)
        named = escape(self.category) if self.category else "*"
        meta_file = only_file(folder, [f"meta_{named}{ending}" for ending in ENDINGS])
        category = meta_file.name.removeprefix("meta_").partition(".jsonl")[0]
        reviews_file = only_file(folder, [escape(category) + ending for ending in ENDINGS])
        reviews = _with_items(read_jsonl(reviews_file, (USER, ITEM, VARIANT, RATING, TIME)))
        reviews = self.privacy.people(reviews, USER)
        clicks = read_clicks(
            reviews,
            user=USER,
            item=ITEM,
            time=TIME,
            rating=None if self.min_rating is None else RATING,
        )
        columns = (ITEM, VARIANT, "title", "features", "description", "images")
        products = _with_items(read_jsonl(meta_file, columns))
        ids = products.distinct_ids(ITEM)
        catalogue = union(ids, clicks["item"])
        found = Found(
            name=category,
            table=reviews,
            item_column=ITEM,
            clicks=clicks,
            catalogue=catalogue,
            features={},
            media=_media(products, ids, catalogue, folder / self.images),
            pseudonyms=self.privacy.pseudonyms(),
        )
        return assemble(found, self.split, min_rating=self.min_rating, k_core=self.k_core)


def _with_items(table: Table) -> Table:
    """Without a parent_asin the asin is the item."""
    return replace(table, frame=table.frame.with_columns(pl.coalesce(ITEM, VARIANT)))


def _media(products: Table, ids: pl.Series, catalogue: pl.Series, folder: Path) -> dict[str, Media]:
    """The columns of texts, and the image of each item."""
    column = {
        name: aligned(products.frame[name], ids, catalogue)
        for name in ("title", "features", "description", "images")
    }
    files = files_by_stem(folder, Medium.IMAGE)
    asked = zip(catalogue, column["images"], strict=True)
    images = [_image(item, listed, files) for item, listed in asked]
    return {
        "title": texts(column["title"]),
        "features": texts(_joined(cell) for cell in column["features"]),
        "description": texts(_joined(cell) for cell in column["description"]),
        "image": Media(Medium.IMAGE, images),
    }


def _parsed(cell: str | None) -> list[Any]:
    """The list that a cell holds; anything else as the one part of a list."""
    if cell is None:
        return []
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError):
        value = cell
    return value if isinstance(value, list) else [cell]


def _joined(cell: str | None) -> str:
    """The parts of a text, those that are none left out."""
    return "\n".join(part for part in _parsed(cell) if isinstance(part, str) and part.strip())


def _image(item: str, listed: str | None, files: dict[str, Path]) -> Path | None:
    """The image of a product among ``files``: by its id, else by the URLs of its main image."""
    if item in files:
        return files[item]
    images = [image for image in _parsed(listed) if isinstance(image, dict)]
    main = [image for image in images if image.get("variant") == "MAIN"]
    for image in main or images[:1]:
        for size in SIZES:
            url = image.get(size)
            stem = _stem(url) if isinstance(url, str) else ""
            if stem in files:
                return files[stem]
    return None


def _stem(url: str) -> str:
    """The file name at the end of a URL, without its ending."""
    # a million products have several million URLs: pathlib and urlsplit would take most of the time
    return splitext(basename(unquote(url.partition("?")[0])))[0]
