"""Raw content of a text column: what is read, and what is refused with which reason."""

from pathlib import Path

import pytest

from fusionlab.encoders.contract import BadMedia, Fault
from fusionlab.encoders.text.raw import LONGEST, text_of


def test_strings_files_and_bytes_are_read(tmp_path):
    (tmp_path / "plot.txt").write_bytes("café".encode("utf-8-sig"))
    assert text_of("café") == text_of("café".encode()) == text_of(tmp_path / "plot.txt") == "café"


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ("", Fault.MISSING),
        (" \u3000\n", Fault.MISSING),
        (b"", Fault.MISSING),
        (b"\xff\xfe\x00", Fault.CORRUPT),
        ("half a pair \ud800", Fault.CORRUPT),
        ("a" * (LONGEST + 1), Fault.CORRUPT),
    ],
)
def test_bad_texts_say_why(raw, fault):
    with pytest.raises(BadMedia) as caught:
        text_of(raw)
    assert caught.value.fault is fault
    assert caught.value.why


def test_a_file_that_is_not_there_is_missing(tmp_path):
    with pytest.raises(BadMedia, match="cannot be read") as caught:
        text_of(tmp_path / "nowhere.txt")
    assert caught.value.fault is Fault.MISSING


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_no_file(device):
    with pytest.raises(BadMedia, match="it is no file"):
        text_of(Path(device))
