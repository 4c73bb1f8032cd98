"""A whole folder of files that are no good, through the command."""

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner
from pictures import encoded, noise
from test_bad_images import CORRUPT

from fusionlab.cli import main

GOOD = ["fine.jpg", "fine_too.png"]
GONE = ["gone.jpg", "never_there.png"]


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("shop")
    folder.mkdir()
    for name, (content, _) in CORRUPT.items():
        (folder / name).write_bytes(content)
    for name in GOOD:
        content = encoded(noise(), "PNG" if name.endswith("png") else "JPEG")
        (folder / name).write_bytes(content)
    names = [*CORRUPT, *GOOD, *GONE, ""]
    rows = [f"item {name},{name}" for name in names]
    (folder / "items.csv").write_text("\n".join(["item,photo", *rows]))
    clicks = [f"u{user},item {name}" for user in range(5) for name in names[user : user + 8]]
    (folder / "interactions.csv").write_text("\n".join(["user,item", *clicks]))
    file = Path("shop.yaml")
    file.write_text(
        "dataset: {name: folder, path: shop, image_columns: [photo]}\n"
        "encoders: {image: {of: photo, encoder: pixels}}\n"
    )
    return file


@pytest.mark.parametrize("workers", ["0", "1"])
def test_every_bad_file_has_its_row_in_the_report(config, workers):
    assert len(CORRUPT) >= 30
    done = CliRunner().invoke(main, ["encode", str(config), "--workers", workers])
    assert done.exit_code == 0, done.output
    (report,) = Path("runs").glob("features/*/*/report.csv")
    with report.open(newline="") as file:
        rows = {row["item"]: row for row in csv.DictReader(file)}
    for name, (_, why) in CORRUPT.items():
        row = rows[f"item {name}"]
        assert row["status"] == "corrupt", row
        assert why in row["why"].lower()
    assert [rows[f"item {name}"]["status"] for name in GOOD] == ["ok", "ok"]
    assert {rows[f"item {name}"]["why"] for name in GONE} == {"no such file"}
    assert rows["item "]["why"] == "nothing given"
    assert "corrupt" in done.output
    assert "missing" in done.output
