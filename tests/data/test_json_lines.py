"""JSON lines whose keys and types differ from row to row, and compressed ones."""

import gzip

import pytest

from fusionlab.data.table_files import read_jsonl
from fusionlab.errors import FusionlabError

ROWS = """{"id": 7, "price": "None", "tags": ["a \\"b\\"", null], "more": {"x": 1}}
{"id": "007", "price": 3.5, "tags": "one"}

{"id": null, "price": {"low": 1}, "tags": []}
"""


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_named_columns_are_text_whatever_their_types(tmp_path, ending):
    file = tmp_path / f"rows.{ending}"
    file.write_bytes(gzip.compress(ROWS.encode()) if ending.endswith("gz") else ROWS.encode())
    table = read_jsonl(file, ("id", "price", "tags", "colour"))
    assert table.frame.to_dict(as_series=False) == {
        "id": ["7", "007", None],
        "price": ["None", "3.5", '{"low": 1}'],
        "tags": ['["a \\"b\\"", null]', "one", "[]"],
        "colour": [None] * 3,
    }


def test_a_broken_line_of_a_compressed_file_is_named(tmp_path):
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"id": 1}\n{"id": 2\n'))
    with pytest.raises(FusionlabError, match=r"rows\.jsonl\.gz, line 2: Expecting ',' delimiter"):
        read_jsonl(file, ("id",))


def test_a_line_that_is_nested_too_deeply_is_named(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": 1}\n{"id": ' + 100_000 * "[" + "\n")
    said = r"rows\.jsonl, line 2: nested too deeply, expected one JSON object"
    with pytest.raises(FusionlabError, match=said):
        read_jsonl(file, ("id",))


@pytest.mark.parametrize("content", [b"no archive", gzip.compress(ROWS.encode())[:-9]])
def test_a_broken_archive_is_refused(tmp_path, content):
    file = tmp_path / "rows.jsonl.gz"
    file.write_bytes(content)
    with pytest.raises(FusionlabError, match=r"rows\.jsonl\.gz: cannot be read"):
        read_jsonl(file, ("id",))
