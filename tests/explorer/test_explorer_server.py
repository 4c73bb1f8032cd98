"""What the server refuses, and that many people at once each get their own."""

import http.client
import re
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import pytest
from browsing import browser, items_of, needs_browser, needs_server, opened, served, turn_to
from explored import SECRET, finished

from fusionlab.explorer.recommend import Question, list_html

pytestmark = [needs_server, pytest.mark.slow]
LINE = b"------x"


@pytest.fixture(scope="module")
def address(shop):
    file, store = finished(shop)
    (shop / "secret.txt").write_bytes(SECRET)
    with served(file, runs=store.root) as address:
        yield address


def asked(address, path="/", **headers):
    """Status, headers and body of an answer."""
    request = urllib.request.Request(address + path, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_only_this_machine_may_ask(address):
    status, headers, _ = asked(address)
    assert status == 200
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert asked(address, Host="evil.example")[0] == 400
    for origin in ("http://evil.example", "http://localhost:1", "null"):
        assert asked(address, Origin=origin)[0] == 403
    assert asked(address, Origin=address)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file={shop}/secret.txt",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../etc/passwd",
        "/file=/etc/passwd",
        "/static/../../../../../etc/passwd",
        "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/media/0/1/0/..%2f..%2fsecret.txt",
        "/openapi.json",
        "/docs",
    ],
)
def test_files_are_not_to_be_had(path, address, shop):
    status, _, body = asked(address, path.format(shop=shop))
    assert status >= 400 or b"<gradio-app" in body
    assert SECRET not in body
    assert b"root:" not in body


def test_pictures_and_sounds_are(address):
    status, headers, body = asked(address, "/media/0/1/3/small")
    assert (status, headers["content-type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    status, headers, _ = asked(address, "/media/0/2/3/sound", Range="bytes=0-9")
    assert (status, headers["content-length"]) == (206, "10")


def upload(address, size):
    """The status of the answer to an upload of ``size`` bytes."""
    head = (
        b"--" + LINE + b"\r\nContent-Disposition: form-data; name=files; filename=a.png\r\n"
        b"Content-Type: image/png\r\n\r\n"
    )
    tail = b"\r\n--" + LINE + b"--\r\n"
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=120)
    connection.putrequest("POST", "/gradio_api/upload")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={LINE.decode()}")
    connection.putheader("Content-Length", str(len(head) + size + len(tail)))
    connection.endheaders()
    try:
        connection.send(head)
        for start in range(0, size, 2**20):
            connection.send(bytes(min(2**20, size - start)))
        connection.send(tail)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has heard enough
    try:
        return connection.getresponse().status
    except ConnectionResetError:
        return None
    finally:
        connection.close()


def test_a_hundred_megabytes_are_too_much(address):
    assert upload(address, 10**6) == 200
    assert upload(address, 10**8) in (413, None)
    assert asked(address)[0] == 200  # and the server goes on


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("Content-Length", str(10**8), 413), ("Transfer-Encoding", "chunked", 411)],
)
def test_no_other_request_may_be_as_large(address, header, value, status):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
    connection.putrequest("POST", "/gradio_api/queue/join")
    connection.putheader("Content-Type", "application/json")
    connection.putheader(header, value)
    connection.endheaders()
    assert connection.getresponse().status == status  # before anything was sent
    connection.close()


def test_what_was_uploaded_goes_with_the_server(shop, tmp_path, monkeypatch):
    file, store = finished(shop)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with served(file, runs=store.root) as own:
        assert upload(own, 1000) == 200
        assert [one for one in tmp_path.rglob("*.png") if one.stat().st_size == 1000]
    assert not [one for one in tmp_path.rglob("*") if one.is_file()]


@needs_browser
def test_ten_people_at_once(address, explorer):
    users = [f"u{10 + n}" for n in range(10)]
    expected = {
        user: re.findall(
            r'class="fl-card" data-item="(\w+)"', list_html(explorer, 0, "concat", Question(user))
        )
        for user in users
    }
    with browser() as chromium:
        pages = [opened(chromium, address) for _ in users]
        everyone = [page.__enter__() for page in pages]
        for page, user in zip(everyone, users, strict=True):
            turn_to(page, "Recommend")
            page.wait_for_selector("#list-right .fl-card")
            page.locator("#who-recommend input, #who-recommend textarea").fill(user)
        for page in everyone:
            page.keyboard.press("Enter")
        for page, user in zip(everyone, users, strict=True):
            page.wait_for_function(
                "([user, first]) => document.querySelector('#history').innerText.includes(user)"
                " && document.querySelector('#list-left .fl-card').dataset.item === first",
                arg=[f"History of {user} ", expected[user][0]],
            )
            assert items_of(page, "list-left") == expected[user]
        for page in pages:
            page.__exit__(None, None, None)
