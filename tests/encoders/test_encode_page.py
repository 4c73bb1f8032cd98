"""The examples of docs/encode.md work as they are written."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from fusionlab.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "encode.md").read_text()
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A shop of twelve mugs in the working folder, and the files of the page."""
    monkeypatch.chdir(tmp_path)
    folder = Path("shop")
    folder.mkdir()
    items = range(12)
    rows = [f"i{i},{'blue' if i % 2 else 'red'} mug number {i % 3},{i}.png" for i in items]
    (folder / "items.csv").write_text("\n".join(["item,title,photo", *rows]))
    clicks = [f"u{u},i{(u * 5 + i) % 12}" for u in range(9) for i in range(6)]
    (folder / "interactions.csv").write_text("\n".join(["user,item", *clicks]))
    for i in items[1:]:
        Image.new("RGB", (9, 7), (20 * i, 0, 255 - 20 * i)).save(folder / f"{i}.png")
    (folder / "5.png").write_bytes(b"no picture")
    for language, file, content in BLOCK.findall(PAGE):
        if file:
            Path(file).write_text(content)
        elif language == "python":
            exec(compile(content, "docs/encode.md", "exec"), {})
    return folder


def run(*arguments):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_shop_is_encoded_and_run(shop, capsys):
    shown = run("encode", "shop.yaml", "--workers", "0")
    image = [line.split() for line in shown.splitlines() if line.startswith("image")]
    assert image[0] == ["image", "10", "ok"]
    assert ["image", "1", "missing", "no", "such", "file"] in image
    assert any(line[:3] == ["image", "1", "corrupt"] for line in image)
    assert "ndcg@20" in run("run", "shop.yaml")


def test_the_encoder_of_the_page_encodes(shop):
    own = ("--plugin", "letters.py", "encoders.text.encoder=letter_counts", "--workers", "0")
    first = run("encode", "shop.yaml", *own)
    assert "12  ok" in first
    again = run("encode", "shop.yaml", *own)
    assert first.splitlines()[-2:] == again.splitlines()[-2:], "the same weights, the same column"


def test_every_encoder_is_in_the_table():
    from fusionlab.encoders.contract import ENCODERS

    built_in = {
        name for name in ENCODERS.names() if ENCODERS[name].__module__.startswith("fusionlab.")
    }
    named = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| `.*?\|", PAGE, re.MULTILINE))))
    assert named == built_in
