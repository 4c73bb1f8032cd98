"""A catalogue shows what belongs to its dataset, and no other file."""

from types import SimpleNamespace

import polars as pl

from fusionlab.data.media import Media, Medium
from fusionlab.explorer.catalogue import SEARCHES, Catalogue


def test_only_files_inside_the_folder_are_opened(catalogue, folder):
    found = [catalogue.raw("picture", row) for row in range(len(catalogue))]
    assert found[0] == folder / "img" / "a.png"
    assert found[5] == folder / "img" / "text.png"  # a file of the dataset, if no picture
    assert [row for row, raw in enumerate(found) if raw is not None] == [0, 5]


def test_without_a_folder_no_file_is_opened(catalogue):
    catalogue.folder = None
    assert catalogue.images(0) == []


def test_titles_and_search(catalogue):
    assert catalogue.title(0) == "<script>alert(1)</script>"
    assert catalogue.search("  SCRIPT ", 0, 5) == ([0], 1)
    assert catalogue.search("i", 8, 5) == ([8, 9], 10)
    assert catalogue.search("", 3, 2) == ([3, 4], 10)
    assert catalogue.search("nothing like it", 0, 5) == ([], 0)
    assert catalogue.search(".", 0, 5) == ([], 0)  # words, no pattern
    assert catalogue.search("(1)", 1, 5) == ([1], 2)


def test_letters_are_searched_whatever_their_case():
    titles = ["Straße", "CAFÉ", None, " "]
    media = {"title": Media(Medium.TEXT, titles)}
    ids = pl.Series(["a", "b", "Éclair", "d"])
    found = Catalogue(SimpleNamespace(name="x", item_ids=ids, interactions=None, media=media), None)
    assert found.search("STRASSE", 0, 5) == ([0], 1)
    assert found.search("é", 0, 5) == ([1, 2], 2)
    assert found.search("d", 0, 5) == ([3], 1)


def test_answers_are_bounded(catalogue):
    for number in range(3 * SEARCHES):
        catalogue.search(f"i{number}", 0, 5)
    assert catalogue._found.cache_info().currsize == SEARCHES
    assert catalogue.search("i3", 0, 5) == ([3], 1)


def test_media_in_memory_need_no_folder(explorer):
    catalogue = explorer.catalogue(0)
    assert catalogue.folder is None
    assert catalogue.images(0) == ["image"]
    assert catalogue.sounds(0) == ["audio"]
    assert isinstance(catalogue.raw("audio", 0), bytes)
