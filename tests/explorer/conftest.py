"""The explorer of one small study, and a dataset whose paths try to leave its folder."""

import polars as pl
import pytest
from explored import SECRET, explorer_of
from PIL import Image

from fusionlab.config import experiment_from
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
        "",
    ]
    ids = [f"i{row}" for row in range(len(images))]
    titles = ["<script>alert(1)</script>", 'x" onerror="alert(1)', *ids[2:]]
    pl.DataFrame({"item": ids, "title": titles, "picture": images}).write_csv(root / "items.csv")
    clicks = [(f"u{user}", ids[(user + step) % 10]) for user in range(6) for step in range(6)]
    pl.DataFrame(clicks, schema=["user", "item"], orient="row").write_csv(root / "interactions.csv")
    return root


@pytest.fixture
def catalogue(folder):
    data = {
        "name": "folder",
        "path": str(folder),
        "text_columns": ["title"],
        "image_columns": ["picture"],
    }
    experiment = experiment_from({"dataset": data, "recommender": "popularity"})
    return Catalogue(experiment.dataset.build().load(), folder)
