"""A catalogue shows what belongs to its dataset, and no other file."""


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


def test_media_in_memory_need_no_folder(explorer):
    catalogue = explorer.catalogue(0)
    assert catalogue.folder is None
    assert catalogue.images(0) == ["image"]
    assert catalogue.sounds(0) == ["audio"]
    assert isinstance(catalogue.raw("audio", 0), bytes)
