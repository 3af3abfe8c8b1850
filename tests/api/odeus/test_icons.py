"""An integration's icon."""

from typing import Any
from uuid import uuid4

import httpx2
import pytest

pytestmark = pytest.mark.anyio

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
IMAGES = [
    (PNG, "image/png"),
    (b"\xff\xd8\xff\xe0 pixels", "image/jpeg"),
    (b"RIFF\x10\x00\x00\x00WEBPVP8 pixels", "image/webp"),
]
LARGEST = 20 * 1024 * 1024


async def _upload(client: httpx2.AsyncClient, integration_id: str, image: bytes, **file: str) -> httpx2.Response:
    named = (file.get("name", "icon"), image, file.get("type", "application/octet-stream"))
    return await client.put(f"/{integration_id}/icon", files={"icon": named})


async def test_without_an_icon_the_url_is_null(acme: httpx2.AsyncClient, tracker: str) -> None:
    answer = await acme.get(f"/{tracker}/icon")
    image = await acme.get(f"/{tracker}/icon/image")

    assert (answer.status_code, answer.json()) == (200, {"iconUrl": None})
    assert image.status_code == 404


@pytest.mark.parametrize(("image", "media_type"), IMAGES)
async def test_an_uploaded_image_is_found_at_its_url(
    acme: httpx2.AsyncClient, tracker: str, image: bytes, media_type: str
) -> None:
    uploaded = await _upload(acme, tracker, image, type="text/html")
    place = await acme.get(f"/{tracker}/icon")
    found = await acme.get(place.json()["iconUrl"])

    assert uploaded.status_code == 200
    assert uploaded.json() == place.json()
    assert place.json() == {"iconUrl": f"http://hairtrigger.test/integrations/v1/{tracker}/icon/image"}
    assert found.content == image
    assert found.headers["content-type"] == media_type
    assert found.headers["x-content-type-options"] == "nosniff"


async def test_the_url_has_the_prefix_it_was_asked_under(acme: httpx2.AsyncClient, tracker: str) -> None:
    await _upload(acme, tracker, PNG)

    place = await acme.get(f"http://hairtrigger.test/api/public/integrations/v1/{tracker}/icon")

    assert place.json()["iconUrl"].startswith("http://hairtrigger.test/api/public/integrations/v1/")


async def test_an_icon_is_what_was_set_last(acme: httpx2.AsyncClient, tracker: str) -> None:
    async def place() -> str:
        return str((await acme.get(f"/{tracker}/icon")).json()["iconUrl"])

    await _upload(acme, tracker, PNG)
    await acme.patch(f"/{tracker}", json={"iconUrl": "https://example.com/icon.png"})
    assert await place() == "https://example.com/icon.png"
    assert (await acme.get(f"/{tracker}/icon/image")).status_code == 404

    await _upload(acme, tracker, PNG + b"2")
    assert await place() == f"http://hairtrigger.test/integrations/v1/{tracker}/icon/image"
    assert (await acme.get(f"/{tracker}/icon/image")).content == PNG + b"2"


@pytest.mark.parametrize("image", [b"", b"GIF89a", b"<svg/>", b"\x89PNG", b"RIFF\x00\x00\x00\x00WAVE", b"\xff\xd8"])
async def test_what_is_no_png_jpeg_or_webp_is_400_whatever_it_is_called(
    acme: httpx2.AsyncClient, tracker: str, image: bytes
) -> None:
    answer = await _upload(acme, tracker, image, name="icon.png", type="image/png")

    assert answer.status_code == 400
    assert answer.json()["message"][0]["path"] == ["icon"]


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {"icon": "x"}},
        {"data": {"icon": "x"}},
        {"files": {"image": ("icon.png", PNG)}},
        {"content": b"garbage", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"garbage", "headers": {"content-type": "multipart/form-data"}},
        {},
    ],
)
async def test_a_body_without_an_icon_is_400(acme: httpx2.AsyncClient, tracker: str, request_: dict[str, Any]) -> None:
    answer = await acme.put(f"/{tracker}/icon", **request_)

    assert answer.status_code == 400
    assert answer.json()["message"]


async def test_twenty_megabytes_are_accepted_and_a_byte_more_is_413(acme: httpx2.AsyncClient, tracker: str) -> None:
    largest = await _upload(acme, tracker, PNG.ljust(LARGEST))
    larger = await _upload(acme, tracker, PNG.ljust(LARGEST + 1))

    assert largest.status_code == 200
    assert (larger.status_code, larger.json()) == (413, {"message": "The icon is larger than 20 MB."})


async def test_an_endless_upload_is_413_while_it_is_read(acme: httpx2.AsyncClient, tracker: str) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        yield b'--x\r\ncontent-disposition: form-data; name="icon"; filename="icon.png"\r\n\r\n'
        while True:
            sent += 1024 * 1024
            yield b"\0" * 1024 * 1024

    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await acme.put(f"/{tracker}/icon", content=endless(), headers=headers)

    assert answer.status_code == 413
    assert answer.json()["message"]
    assert sent < LARGEST + 3 * 1024 * 1024


async def test_an_unknown_integration_is_404_and_none_400(acme: httpx2.AsyncClient) -> None:
    for path in ("icon", "icon/image"):
        assert (await acme.get(f"/{uuid4()}/{path}")).status_code == 404
        assert (await acme.get(f"/nope/{path}")).status_code == 400
    assert (await _upload(acme, str(uuid4()), PNG)).status_code == 404
    assert (await _upload(acme, "nope", PNG)).status_code == 400
