"""Ably by settings alone: a whole server sends what it commits to a server that keeps Ably's rules."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rowcast.core.errors import ConfigError
from rowcast.core.telemetry import listening
from rowcast.delivery.dead_letter import DeadLetters
from rowcast.server.app import open_app, sink_options
from rowcast.server.settings import load_settings, shown_value
from rowcast.server.transports import LIMITS, transport_rules, transport_sinks
from rowcast.store.pool import Database, open_database
from rowcast.store.sql import parse_query
from tests.integration.server.processes import started
from tests.integration.server.running import running, settings_for
from tests.integration.vendors.ably_server import KEY, READ_ONLY_KEY, AblyServer, Refusal, ably_server

EMIT = parse_query("emit", "select rowcast.emit('acme', :type, '{\"n\": 1}') from generate_series(1, :count)")
CHANNEL = "acme:private:tenant:acme"


def asked(server: AblyServer, **more: object) -> dict[str, Any]:
    """Give the settings that send to a server of the test."""
    at = f"127.0.0.1:{server.port}"
    return {"ably__key": KEY, "ably__origins": (f"http://{at}",), "webhooks__allow_private": (at,), **more}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.02)


async def test_committed_events_reach_ably_once_each_also_when_it_fails_meanwhile(dsn: str) -> None:
    async with ably_server() as ably:
        ably.refusals = [Refusal(503, 50003), Refusal(401, 40142)]
        async with running(dsn, roles=("relay", "delivery"), **asked(ably, ably__events=("orders.*",))) as server:
            await server.app.database.execute(EMIT, type="orders.made", count=5)
            await server.app.database.execute(EMIT, type="other.made", count=1)
            await until(lambda: len(ably.messages[CHANNEL]) == 5 and len(ably.messages[f"{CHANNEL}:orders"]) == 5)

    messages = ably.messages[CHANNEL]
    assert {message["name"] for message in messages} == {"orders.made"}
    assert len({message["id"] for message in messages}) == 5
    assert json.loads(messages[0]["data"])["tenantId"] == "acme"
    assert messages[0]["id"].partition(".")[0] == json.loads(messages[0]["data"])["id"]


async def test_a_key_without_the_right_ends_in_a_dead_letter_and_is_nowhere_told(dsn: str) -> None:
    told: list[str] = []
    async with ably_server() as ably:
        settings = asked(ably) | {"ably__key": READ_ONLY_KEY}
        with listening(lambda name, facts: told.append(f"{name} {dict(facts)}")):
            async with running(dsn, roles=("relay", "delivery"), **settings) as server:
                await server.app.database.execute(EMIT, type="orders.made", count=1)
                letter = await dead_letter(server.app.database)

    assert "ably_40160" in letter
    assert told
    for secret in (READ_ONLY_KEY, base64.b64encode(READ_ONLY_KEY.encode()).decode()):
        assert secret not in letter + "".join(told)


async def dead_letter(database: Database) -> str:
    """Give the first dead letter of this sink, with everything that is kept of it."""
    async with asyncio.timeout(30):
        while True:
            found = await DeadLetters(database=database).groups()
            if found:
                return str(found)
            await asyncio.sleep(0.05)


async def test_a_server_started_with_the_key_in_its_environment_sends_and_shows_it_nowhere(
    dsn: str, tmp_path: Path
) -> None:
    async with ably_server() as ably:
        at = f"127.0.0.1:{ably.port}"
        variables = {
            "ROWCAST_ABLY__KEY": KEY, "ROWCAST_ABLY__ORIGINS": f"http://{at}", "ROWCAST_WEBHOOKS__ALLOW_PRIVATE": at,
            "ROWCAST_LOG__LEVEL": "debug", "ROWCAST_DATABASE__URL": dsn,
        }  # fmt: skip
        words = ("serve", "--port", "0", "--feed", "claim")
        with started(*words, folder=tmp_path, **variables) as process:
            await asyncio.to_thread(process.until, "server.listening")
            async with open_database(dsn) as database:
                await database.execute(EMIT, type="orders.made", count=1)
            await until(lambda: len(ably.messages[CHANNEL]) == 1)
        said = json.dumps(process.log)
    settings = load_settings(environment={"ROWCAST_ABLY__KEY": KEY}).settings

    assert KEY not in said
    assert shown_value(settings, "ably.key") == "**********"


@pytest.mark.parametrize("key", ["hidden", "hidden:", ":hidden"])
async def test_what_is_no_key_stops_the_start_without_being_shown(dsn: str, key: str) -> None:
    settings = settings_for(dsn, ("delivery",), ably__key=key)
    with pytest.raises(ConfigError) as refused:
        async with open_app(settings, database_url=dsn, packs=()):
            pass

    assert refused.value.code == "config.ably"
    assert "hidden" not in str(refused.value)


async def test_without_a_key_there_is_neither_a_sink_nor_a_rule(dsn: str) -> None:
    nothing: Any = None
    settings = settings_for(dsn, ("delivery",))

    assert transport_sinks(settings.ably, client=nothing) == ()
    assert transport_rules(settings.ably) == ()


async def test_a_channel_of_ably_has_ablys_rate_and_not_that_of_an_endpoint(dsn: str) -> None:
    nothing: Any = None
    settings = settings_for(dsn, ("delivery",), ably__key=KEY, webhooks__rate_per_minute=1)
    (sink,) = transport_sinks(settings.ably, client=nothing)
    limits = sink_options(settings, sink, nothing).limits

    assert limits is not None
    assert await limits([nothing, nothing]) == [LIMITS, LIMITS]
