"""Ably as a transport: broadcasts become messages of Ably's channels, by its REST API."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from rowcast.core.errors import ConfigError
from rowcast.core.outcome import Delivered, Outcome, Rejected
from rowcast.core.telemetry import tell
from rowcast.egress.client import EgressClient
from rowcast.egress.reply import EgressFailure
from rowcast.realtime.messages import Broadcast
from rowcast.realtime.transport import Transport
from rowcast.vendors.ably_messages import (
    MESSAGE_LIMIT_BYTES,
    AblyRequest,
    ably_requests,
    is_worth_another_host,
    judge_failure,
    judge_reply,
    too_large,
    worst_outcome,
)

Pause = Callable[[float], Awaitable[None]]

_PART_EVERY_S = 1.0
ORIGINS = (
    "https://main.realtime.ably.net",
    "https://main.a.fallback.ably-realtime.com",
    "https://main.b.fallback.ably-realtime.com",
)
"""Ably's own hosts, the first one first."""


class AblySettings(msgspec.Struct, frozen=True):
    """Where and how much. `origins` are tried in order while one fails on its side."""

    key: str
    origins: tuple[str, ...] = ORIGINS
    message_limit_bytes: int = MESSAGE_LIMIT_BYTES
    timeout_s: float = 10.0


class AblyTransport:
    """Posts to Ably. A repetition under the same id is told once, as long as Ably remembers ids."""

    __slots__ = ("_client", "_headers", "_pause", "_settings")

    name = "ably"

    def __init__(self, *, client: EgressClient, settings: AblySettings, pause: Pause = asyncio.sleep) -> None:
        """Post through `client`.

        Args:
            client: The one door out.
            settings: Where and how much.
            pause: Waits for so many seconds.
        Raises:
            ConfigError: `config.ably`, when the key is none.
        """
        if settings.key.count(":") != 1 or not all(settings.key.split(":")):
            raise ConfigError("The Ably key is no key: it reads app.id:secret.", code="config.ably")
        self._client = client
        self._settings = settings
        self._pause = pause
        self._headers = {
            "authorization": f"Basic {base64.b64encode(settings.key.encode()).decode()}",
            "content-type": "application/json",
            "accept": "application/json",
        }

    async def send(self, message_id: str, broadcasts: Sequence[Broadcast]) -> Outcome:
        """Post broadcasts, channel by channel; parts of one channel a second apart, as much as a channel takes."""
        if too_large(broadcasts, self._settings.message_limit_bytes):
            return Rejected("too_large")
        outcomes: list[Outcome] = []
        last: dict[str, Outcome] = {}
        for request in ably_requests(message_id, broadcasts):
            earlier = last.get(request.channel)
            if earlier is not None and not isinstance(earlier, Delivered):
                # What follows must not arrive before it.
                continue
            if earlier is not None:
                await self._pause(_PART_EVERY_S)
            last[request.channel] = await self._post(request)
            outcomes.append(last[request.channel])
        return worst_outcome(outcomes)

    async def _post(self, request: AblyRequest) -> Outcome:
        outcome: Outcome = Rejected("no_host")
        for origin in self._settings.origins:
            outcome = await self._post_to(origin, request)
            if not is_worth_another_host(outcome):
                break
            tell("vendor.host_failed", vendor=self.name)
        return outcome

    async def _post_to(self, origin: str, request: AblyRequest) -> Outcome:
        answer = await self._client.post(
            origin + request.path, request.body, headers=self._headers, timeout_s=self._settings.timeout_s
        )
        if isinstance(answer, EgressFailure):
            return judge_failure(answer.kind, answer.text)
        return judge_reply(answer.status, answer.headers, answer.body)


_CONTRACT: type[Transport] = AblyTransport
