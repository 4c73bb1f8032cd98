"""Pictures and sounds over HTTP."""

from io import BytesIO

import pytest
from explored import SECRET
from PIL import ExifTags, Image

pytest.importorskip("starlette", reason="pip install 'fusionlab-recsys[explorer]'")

from starlette.applications import Starlette
from starlette.testclient import TestClient

from fusionlab.explorer.cards import address
from fusionlab.explorer.media import NO_PICTURE, media_route, shrunk


def client_of(*catalogues):
    boards = dict(enumerate(catalogues))
    return TestClient(Starlette(routes=[media_route(boards.get)]))


def test_pictures_are_shrunk_and_encoded_anew(catalogue):
    client = client_of(catalogue)
    answer = client.get("/media/0/1/0/small")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert Image.open(BytesIO(answer.content)).size == (213, 320)
    assert Image.open(BytesIO(client.get("/media/0/1/0/large").content)).size == (600, 900)


def test_each_catalogue_has_addresses_of_its_own(catalogue, explorer):
    """A browser may keep a picture for an hour: of another catalogue it is not shown."""
    one = address(catalogue, 0, catalogue.columns[1], 0, "small")
    assert client_of(catalogue).get(f"/{one}").status_code == 200
    assert one.endswith(catalogue.key)
    assert catalogue.key != explorer.catalogue(0).key


def test_no_path_leads_out_of_the_dataset(catalogue):
    client = client_of(catalogue)
    rows = [client.get(f"/media/0/1/{row}/small") for row in range(12)]
    codes = {row: answer.status_code for row, answer in enumerate(rows)}
    assert codes == {0: 200, 5: 200} | dict.fromkeys((1, 2, 3, 4, 6, 7, 8, 9, 10, 11), 404)
    assert rows[5].content == NO_PICTURE  # a file that is no picture is not sent
    assert not any(SECRET in answer.content for answer in rows)


@pytest.mark.parametrize(
    "path",
    [
        "/media/0/1/../../../secret.txt",
        "/media/0/1/%2e%2e%2f%2e%2e%2fsecret.txt/small",
        "/media/0/picture/0/small",
        "/media/0/1/-1/small",
        "/media/0/1/0/../small",
        "/media/0/1/0/%2fetc%2fpasswd",
        "/media/0/1/0/sound",  # a picture is no sound
        "/media/0/0/0/small",  # a title is no picture
        "/media/0/9/0/small",
        "/media/9/1/0/small",
        "/media/0/1/99999999999999999999/small",
    ],
)
def test_nothing_else_is_an_address(path, catalogue):
    answer = client_of(catalogue).get(path)
    assert answer.status_code == 404
    assert SECRET not in answer.content


def test_sounds_are_played_in_parts(explorer):
    shop = explorer.catalogue(0)
    sound, column = shop.raw("audio", 3), shop.columns.index("audio")
    client, path = client_of(shop), f"/media/0/{column}/3/sound"
    whole = client.get(path)
    assert (whole.status_code, whole.content) == (200, sound)
    assert whole.headers["content-type"] == "audio/wav"
    size = len(sound)
    for asked, start, end in (
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, size),
        ("bytes=-50", size - 50, size),
        (f"bytes=10-{size + 5}", 10, size),
    ):
        part = client.get(path, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, sound[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    assert client.get(path, headers={"Range": f"bytes={size}-"}).status_code == 416


def test_a_picture_is_turned_as_its_exif_says():
    written, exif = BytesIO(), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned by a quarter
    Image.new("RGB", (40, 20), "blue").save(written, "JPEG", exif=exif)
    assert Image.open(BytesIO(shrunk(written.getvalue(), 100))).size == (20, 40)


def test_what_is_clear_becomes_white():
    written = BytesIO()
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(written, "PNG")
    assert Image.open(BytesIO(shrunk(written.getvalue(), 4))).getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_picture_has_no_thumbnail():
    assert shrunk(SECRET, 100) is None
