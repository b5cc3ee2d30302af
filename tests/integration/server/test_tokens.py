"""Keys of tokens from a document, a file and a URL: fetched by the one door out, within its bounds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError
from rowcast.observe.health import Health
from rowcast.realtime.authorize import Claims
from rowcast.server.settings import load_settings
from rowcast.server.tokens import Tokens, open_tokens
from tests.integration.egress.receivers import answer, read_request, receiving
from tests.integration.server.conftest import Command
from tests.integration.server.running import JWT_SECRET, running
from tests.integration.server.test_routes_health import until_readiness
from tests.protocol.js_client import js_client
from tests.unit.realtime.signing import jwk, key_set, signed

DOCUMENT = key_set(jwk("rsa"), jwk("P-256"))


@dataclass
class Issuer:
    """A server of keys: what it answers, and how often it was asked."""

    port: int = 0
    reply: bytes = answer("200 OK", DOCUMENT)
    asked: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/.well-known/jwks.json"

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "auth__jwks": self.url,
            "auth__jwks_pause_s": 0.1,
            "webhooks__allow_private": (f"127.0.0.1:{self.port}",),
        }


@asynccontextmanager
async def issuing() -> AsyncIterator[Issuer]:
    issuer = Issuer()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _ = await read_request(reader)
            assert head.startswith(b"GET /.well-known/jwks.json HTTP/1.1\r\n")
            issuer.asked += 1
            writer.write(issuer.reply)
            await writer.drain()

    async with receiving(respond) as issuer.port:
        yield issuer


@asynccontextmanager
async def opened(**settings: object) -> AsyncIterator[tuple[Tokens, Health]]:
    """Give what checks tokens by these settings, with its duties running."""
    flags = {name.replace("__", "."): value for name, value in settings.items()}
    health = Health(clock=SystemClock())
    loaded = load_settings(flags, environment={}).settings
    async with (
        open_tokens(loaded, secret=JWT_SECRET, clock=SystemClock(), health=health) as tokens,
        asyncio.TaskGroup() as group,
    ):
        running = [group.create_task(duty(), name="keys") for duty in tokens.duties]
        yield tokens, health
        for task in running:
            task.cancel()


def is_taken(tokens: Tokens) -> bool:
    return isinstance(tokens.authorizer.check(signed("P-256", "ES256"), now=SystemClock().now()), Claims)


async def test_keys_stand_in_the_setting_or_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(DOCUMENT)

    for value in (DOCUMENT.decode(), f"  {DOCUMENT.decode()}\n", str(tmp_path / "keys.json")):
        async with opened(auth__jwks=value) as (tokens, health):
            assert is_taken(tokens)
            assert not tokens.duties
            assert not health.readiness().components


async def test_the_settings_say_whose_tokens_those_keys_may_sign() -> None:
    ours = {"auth__jwks": DOCUMENT.decode(), "auth__jwks_issuer": "https://id.example.com/"}
    async with opened(**ours) as (by_issuer, _), opened(**ours, auth__jwks_audience="shop") as (by_both, _):
        token = signed("P-256", "ES256", iss="https://id.example.com/")
        now = SystemClock().now()

        assert isinstance(by_issuer.authorizer.check(token, now=now), Claims)
        assert not isinstance(by_both.authorizer.check(token, now=now), Claims)
        assert not is_taken(by_issuer)


async def test_a_stock_client_joins_by_a_token_whose_key_lies_at_a_url_and_sees_a_new_key(dsn: str) -> None:
    async with issuing() as issuer, running(dsn, **issuer.settings) as server:
        await until_readiness(server, 200, keys="ok")
        own = signed("P-256", "ES256", tenant_id="acme")
        url = f"ws://127.0.0.1:{server.port}/realtime/v1"
        async with js_client(url, own, "2.0.0") as client:
            joined = await client.join("tenant:acme", private=True)
            stranger = await client.join("tenant:globex", private=True)
        new = {"authorization": f"Bearer {signed('rsa-other', 'PS256', tenant_id='acme')}"}
        before = await server.client.get("/api/realtime/status", headers=new)
        issuer.reply = answer("200 OK", key_set(jwk("rsa-other")))
        async with asyncio.timeout(30):
            while (await server.client.get("/api/realtime/status", headers=new)).status_code != 200:
                await asyncio.sleep(0.05)

    assert (joined["status"], stranger["status"]) == ("SUBSCRIBED", "CHANNEL_ERROR")
    assert before.status_code == 401


BAD = {
    "too large": answer("200 OK", b" " * 70_000 + DOCUMENT),
    "elsewhere": answer("302 Found", DOCUMENT, "Location: http://127.0.0.1:1/"),
    "at fault": answer("500 Internal Server Error", DOCUMENT),
    "no document": answer("200 OK", b"<html>"),
    "no keys": answer("200 OK", key_set()),
    "no HTTP": b"\x00\x01\x02\x03\r\n\r\n",
}


@pytest.mark.parametrize("reply", BAD.values(), ids=BAD)
async def test_an_answer_that_is_none_is_told_and_keeps_the_keys_there_are(reply: bytes) -> None:
    async with issuing() as issuer, opened(**issuer.settings, auth__jwks_life_s=1.0) as (tokens, health):
        async with asyncio.timeout(30):
            while not is_taken(tokens):
                await asyncio.sleep(0.01)
            issuer.reply = reply
            while health.readiness().status != "degraded":
                await asyncio.sleep(0.01)

        (component,) = health.readiness().components
        assert is_taken(tokens)
        assert (component.name, health.readiness().is_ready) == ("keys", True)
        assert component.reason


@pytest.mark.parametrize(
    "value",
    ["http://keys.example.com/", "https://127.0.0.1/", "https://169.254.169.254/latest", "https://10.0.0.1/", "https://keys/",
     "https://user:hidden@keys.example.com/", "https://keys.example.com:22/", "no-such-file", "{hidden", "ftp://hidden/", "hidden\x00"],
)  # fmt: skip
async def test_a_place_that_must_not_be_asked_is_refused_at_the_start_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigError) as refused:
        async with opened(auth__jwks=value, webhooks__allow_http=True):
            pass
    assert refused.value.code == "config.jwks"
    assert "hidden" not in str(refused.value)


def test_the_whole_server_refuses_it_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_AUTH__JWT_SECRET", JWT_SECRET)
    monkeypatch.setenv("ROWCAST_AUTH__JWKS", "http://169.254.169.254/keys")
    for more in ((), ("--workers", "2")):
        done = command("serve", "--port", "0", *more)
        assert (done.code, "(config.jwks)" in done.err, "Traceback" in done.err) == (3, True, False), done.err
