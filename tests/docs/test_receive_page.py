"""The page about receiving: each framework's snippet takes what is signed, once, and refuses everything else."""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from rowcast.webhooks.signature import secret_text, signed_headers

from .page import blocks_of

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "receive-a-webhook.md"
SECRET, OLD, OTHER = (secret_text(letter * 32) for letter in (b"s", b"o", b"x"))
BODY = b'{"type": "orders.confirmed", "data": {"name": "Zo\xc3\xab"}}'
FRAMEWORKS = ("fastapi", "starlette", "django", "flask", "litestar")

Post = Callable[[Mapping[str, str], bytes], int]


def headers(*, secret: str = SECRET, name: str = "msg_1", age_s: int = 0, body: bytes = BODY) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return signed_headers([secret], message_id=name, timestamp_s=int(at.timestamp()), body=body)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's files in a folder that is imported from."""
    names = []
    for block in blocks_of(PAGE):
        if block.title.endswith(".py"):
            (tmp_path / block.title).write_text(block.text, "utf-8")
            names.append(block.title.removesuffix(".py"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WEBHOOK_SECRETS", f"{SECRET} {OLD}")
    yield
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(params=FRAMEWORKS)
def post(request: pytest.FixtureRequest, modules: None) -> Post:
    """Post to the receiver of one framework and give the status."""
    opened: Post = _OPEN[request.param](importlib.import_module(f"with_{request.param}"))
    return opened


def _asgi(module: Any) -> Post:
    async def send(given: Mapping[str, str], body: bytes) -> int:
        transport = httpx.ASGITransport(module.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver.example") as client:
            return (await client.post("/hook", headers=given, content=body)).status_code

    return lambda given, body: asyncio.run(send(given, body))


def _flask(module: Any) -> Post:
    client = module.app.test_client()
    return lambda given, body: int(client.post("/hook", headers=given, data=body).status_code)


def _django(module: Any) -> Post:
    import django
    from django.conf import settings
    from django.test import RequestFactory
    from django.urls import resolve

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], USE_TZ=True)
        django.setup()

    def send(given: Mapping[str, str], body: bytes) -> int:
        meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in given.items()}
        request = RequestFactory().post("/hook", data=body, content_type="application/json", **meta)  # type: ignore[arg-type]
        found = resolve("/hook", urlconf=tuple(module.urlpatterns))
        return int(found.func(request).status_code)

    return send


_OPEN: dict[str, Callable[[Any], Post]] = {
    "fastapi": _asgi, "starlette": _asgi, "litestar": _asgi, "flask": _flask, "django": _django,
}  # fmt: skip


def test_a_signed_message_is_taken_once_and_answered_each_time(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    assert [post(headers(), BODY) for _ in range(2)] == [204, 204]
    assert post(headers(name="msg_2"), BODY) == 204
    assert capsys.readouterr().out == "received: {'type': 'orders.confirmed', 'data': {'name': 'Zoë'}}\n" * 2


def test_a_body_that_is_no_event_is_taken(modules: None, capsys: pytest.CaptureFixture[str]) -> None:
    body = b'{"id": "7"}'

    assert importlib.import_module("received").receive(headers(body=body), body) == 204
    assert capsys.readouterr().out == "received: {'id': '7'}\n"


def test_a_message_whose_work_broke_down_is_not_taken_for_done(modules: None) -> None:
    receive = importlib.import_module("received").receive
    for _ in range(2):
        with pytest.raises(ValueError, match="Expecting"):
            receive(headers(body=b"["), b"[")


def test_both_secrets_of_a_rotation_and_both_names_of_headers_are_taken(post: Post) -> None:
    svix_only = {name: value for name, value in headers(name="msg_3").items() if name.startswith("svix-")}

    assert [post(headers(secret=OLD), BODY), post(svix_only, BODY)] == [204, 204]


def test_everything_else_is_refused(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    good = headers()
    unsigned = {name: value for name, value in good.items() if not name.endswith("signature")}
    refused = [
        (headers(secret=OTHER), BODY), (headers(age_s=3600), BODY), (headers(age_s=-3600), BODY), (good, BODY + b" "),
        (good, b""), (unsigned, BODY), ({}, BODY), (good | {"webhook-id": "msg_9", "svix-id": "msg_9"}, BODY),
    ]  # fmt: skip

    assert [post(given, body) for given, body in refused] == [400] * len(refused)
    assert "received" not in capsys.readouterr().out


def test_a_receiver_without_rowcast_takes_the_same_message() -> None:
    block = next(block for block in blocks_of(PAGE) if block.language == "python" and not block.title)
    names: dict[str, Any] = {}
    exec(compile(block.text, "take.py", "exec"), names)

    assert names["take"](SECRET, headers(), BODY) == json.loads(BODY)
    assert names["take"](OTHER, headers(), BODY) is None
    assert Webhook(SECRET).verify(BODY, headers()) == json.loads(BODY)


def test_the_page_has_every_framework() -> None:
    titles = {block.title for block in blocks_of(PAGE)}

    assert titles == {"", "received.py", "rowcast.toml", *(f"with_{name}.py" for name in FRAMEWORKS)}
