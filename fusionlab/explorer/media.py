"""Pictures and sounds over HTTP: by place in the catalogue, never by a path that a client gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from fusionlab.data.media import Medium
from fusionlab.encoders.contract import BadMedia
from fusionlab.encoders.image.reading import ORIENTATION, read_image
from fusionlab.errors import FusionlabError
from fusionlab.explorer.catalogue import Catalogue

SIDES = {"small": 320, "large": 1280}
"""The longest side of what is sent, in pixels."""
THUMBNAILS = 2048
"""So many pictures are held as they were sent."""
KEPT = {"Cache-Control": "private, max-age=3600", "X-Content-Type-Options": "nosniff"}
SOUNDS = (
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "audio/wav"),
    (re.compile(rb"fLaC"), "audio/flac"),
    (re.compile(rb"OggS"), "audio/ogg"),
    (re.compile(rb"ID3|\xff[\xe2-\xff]"), "audio/mpeg"),
)
"""How files of each kind begin."""
NO_PICTURE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#808a96">'
    b'<rect x="5" y="6" width="14" height="12" rx="1"/><path d="M5 18 19 6"/></svg>'
)
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def media_route(catalogue_of: Callable[[int], Catalogue | None]) -> Route:
    """The route of `cards.address`: ``catalogue_of`` a board, or None where there is none.

    Pictures are decoded and encoded anew, so a file that is no picture is never sent, whatever it
    is called: in its place stands `NO_PICTURE`. A sound is sent only if it begins like one; 415
    says that there is a file and it is none. Everything else is 404, what the dataset's folder does
    not hold too.
    """

    @lru_cache(maxsize=THUMBNAILS)
    def picture(board: int, column: str, row: int, side: int) -> bytes | None:
        catalogue = catalogue_of(board)
        raw = None if catalogue is None else catalogue.raw(column, row)
        return None if raw is None else shrunk(raw, side)

    def found(request: Request) -> Response:
        place, kind = request.path_params, request.path_params["kind"]
        try:
            catalogue = catalogue_of(place["board"])
        except FusionlabError:  # the lists say what is wrong
            catalogue = None
        if catalogue is None or place["column"] >= len(catalogue.columns):
            return PlainTextResponse("no such medium", 404)
        column = catalogue.columns[place["column"]]
        medium = catalogue.media[column].medium
        wanted = Medium.AUDIO if kind == "sound" else Medium.IMAGE if kind in SIDES else None
        raw = None
        if wanted is medium and place["row"] < len(catalogue):
            raw = catalogue.raw(column, place["row"])
        if raw is None:
            return PlainTextResponse("no such medium", 404)
        if medium is Medium.AUDIO:
            return _sound(raw, request.headers.get("range"))
        content = picture(place["board"], column, place["row"], SIDES[kind])
        if content is None:
            return Response(NO_PICTURE, media_type="image/svg+xml", headers=KEPT)
        return Response(content, media_type="image/jpeg", headers=KEPT)

    async def serve(request: Request) -> Response:
        return await run_in_threadpool(found, request)

    return Route("/media/{board:int}/{column:int}/{row:int}/{kind:str}", serve)


def shrunk(raw: bytes | Path, side: int) -> bytes | None:
    """A picture as JPEG whose longest side is at most ``side`` pixels; None: it is none."""
    from PIL import ExifTags, Image, ImageOps

    try:
        image = read_image(raw)
    except BadMedia:
        return None
    image.getexif()[ExifTags.Base.Orientation] = image.info[ORIENTATION]
    ImageOps.exif_transpose(image, in_place=True)
    image.thumbnail((side, side), Image.Resampling.HAMMING)
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A") if image.mode == "RGBA" else None)
    written = BytesIO()
    flat.save(written, "JPEG", quality=85)
    return written.getvalue()


def _sound(raw: bytes | Path, asked: str | None) -> Response:
    if isinstance(raw, Path):
        with raw.open("rb") as file:
            head = file.read(16)
    else:
        head = raw[:16]
    kind = next((kind for begins, kind in SOUNDS if begins.match(head)), None)
    if kind is None:
        return PlainTextResponse("no sound", 415)
    if isinstance(raw, Path):
        return FileResponse(raw, media_type=kind, headers=KEPT)
    return _part(raw, asked, kind)


def _part(content: bytes, asked: str | None, kind: str) -> Response:
    """The bytes that a player asks for (RFC 9110, 14.1.2: one range), or all of them."""
    headers, size = {**KEPT, "Accept-Ranges": "bytes"}, len(content)
    match = RANGE.fullmatch(asked or "")
    if match is None or match[0] == "bytes=-":
        return Response(content, media_type=kind, headers=headers)
    first, last = match[1], match[2]
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(content[start:end], 206, media_type=kind, headers=headers)
