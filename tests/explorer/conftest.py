"""The explorer of one small study, and a dataset whose paths try to leave its folder."""

from dataclasses import replace

import polars as pl
import pytest
from browsing import browser
from explored import SECRET, explorer_of
from PIL import Image

from fusionlab.config import experiment_from
from fusionlab.data.media import Media, Medium
from fusionlab.explorer.catalogue import Catalogue


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A folder with a finished study; its logs are shared by what uses it."""
    folder = tmp_path_factory.mktemp("shop")
    explorer_of(folder)
    return folder


@pytest.fixture(scope="session")
def explorer(shop):
    return explorer_of(shop)


@pytest.fixture(scope="module")
def chromium():
    with browser() as one:
        yield one


@pytest.fixture
def folder(tmp_path):
    """A dataset whose paths try to leave its folder, beside a file that is nobody's business."""
    (tmp_path / "secret.txt").write_bytes(SECRET)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "outside.png")
    root = tmp_path / "data"
    (root / "img").mkdir(parents=True)
    Image.new("RGB", (600, 900), "green").save(root / "img" / "a.png")
    (root / "img" / "text.png").write_bytes(SECRET)
    (root / "img" / "link.png").symlink_to(tmp_path / "outside.png")
    (root / "img" / "round.png").symlink_to(root / "img" / "round.png")
    ids = [f"i{row}" for row in range(10)]
    titles = ["<script>alert(1)</script>", 'x" onerror="alert(1)', *ids[2:]]
    pl.DataFrame({"item": ids, "title": titles}).write_csv(root / "items.csv")
    clicks = [(f"u{user}", ids[(user + step) % 10]) for user in range(6) for step in range(6)]
    pl.DataFrame(clicks, schema=["user", "item"], orient="row").write_csv(root / "interactions.csv")
    return root


@pytest.fixture
def catalogue(folder, tmp_path):
    """With pictures that stand, or seem to stand, outside; readers of tables refuse such names, but
    the page must not rely on that."""
    images = [
        "img/a.png",
        "../secret.txt",
        str(tmp_path / "outside.png"),
        "img/link.png",
        "img/round.png",
        "img/text.png",
        "img",
        "img/none.png",
        "img/../../outside.png",
        None,
    ]
    data = {"name": "folder", "path": str(folder), "text_columns": ["title"]}
    experiment = experiment_from({"dataset": data, "recommender": "popularity"})
    dataset = experiment.dataset.build().load()
    pictures = Media(Medium.IMAGE, [path and folder / path for path in images])
    return Catalogue(replace(dataset, media={**dataset.media, "picture": pictures}), folder)
