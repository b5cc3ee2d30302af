"""Forwarding: a tenant's events as they are committed, posted to a URL on this machine or in its private network."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, StoreError
from rowcast.core.event_pattern import fits_any
from rowcast.core.outcome import Rejected, Retry
from rowcast.egress.guard import Policy, check_url, parse_url
from rowcast.egress.reply import EgressFailure
from rowcast.egress.resolver import Lookup, Resolver, system_lookup
from rowcast.egress.terms import parse_networks
from rowcast.outbox.tail import Tail
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint
from rowcast.webhooks.fan_out import hears
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.message_reader import NO_TERMS, MessageReader
from rowcast.webhooks.poster import Posted, Poster

T = TypeVar("T")
Choose = Callable[[Sequence[Envelope]], Awaitable[Sequence[Envelope]]]
"""Gives those events that are to be posted."""

_PRIVATE = parse_networks("127.0.0.0/8 ::1/128 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7".split())
_LOOKUP_S = 5.0
_LOOK_EVERY_S = 0.1
_LOST_WAIT_S = 1.0


class Forwarded(msgspec.Struct, frozen=True):
    """One post: `code` is the status that came back, or a word for why none did."""

    at: datetime
    message_id: str
    event_type: str
    code: str
    latency_ms: float


class Forwarder:
    """Posts one event after the other, each once. What the target makes of it is shown, and nothing is tried again."""

    __slots__ = ("_choose", "_clock", "_endpoint", "_poster", "_tail", "_tenant_id")

    def __init__(
        self,
        *,
        tail: Tail,
        poster: Poster,
        endpoint: SigningEndpoint,
        tenant_id: str,
        choose: Choose,
        clock: Clock,
    ) -> None:
        """Post to `endpoint` what `choose` takes of what `tail` gives of this tenant."""
        self._tail = tail
        self._poster = poster
        self._endpoint = endpoint
        self._tenant_id = tenant_id
        self._choose = choose
        self._clock = clock

    async def run(self, *, on_lost: Callable[[StoreError], None]) -> AsyncIterator[Forwarded]:
        """Give each post after it was made, for ever; `on_lost` hears that the database is away, each time it is."""
        while True:
            events = await _surely(self._tail.next_events, on_lost)
            for event in await _surely(partial(self._choose, events), on_lost):
                yield await _surely(partial(self._post, event), on_lost)
            if not events:
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _post(self, event: Envelope) -> Forwarded:
        at, started_s = self._clock.now(), self._clock.monotonic_s()
        posted = await self._poster.post(self._tenant_id, self._endpoint, event)
        latency_ms = (self._clock.monotonic_s() - started_s) * 1000
        return Forwarded(at, message_id(event.id), event.event_type, _code(posted), round(latency_ms, 1))


async def _surely(ask: Callable[[], Awaitable[T]], on_lost: Callable[[StoreError], None]) -> T:
    """Ask again until the database answers: what was read already is not read twice."""
    while True:
        try:
            return await ask()
        except StoreError as error:
            on_lost(error)
            await asyncio.sleep(_LOST_WAIT_S)


def choice(*, endpoint: Endpoint | None, event_types: Sequence[str], messages: MessageReader) -> Choose:
    """Give what chooses: the types and channels of an endpoint, and of those the types or patterns that are named."""

    async def choose(events: Sequence[Envelope]) -> Sequence[Envelope]:
        named = [event for event in events if not event_types or fits_any(event.event_type, event_types)]
        if endpoint is None:
            return named
        wanted = [event for event in named if endpoint.wants(event.event_type)]
        terms = {} if endpoint.channels is None else await messages.terms([event.id for event in wanted])
        return [event for event in wanted if hears(endpoint, terms.get(event.id, NO_TERMS))]

    return choose


def local_policy(url: str) -> Policy:
    """Give the policy that lets this URL's port be reached, on this machine and in private networks.

    Raises:
        InvalidInputError: `input.url`, or `egress.blocked` where it names an address that is neither.
    """
    parsed = parse_url(url)
    policy = Policy(allow_http=True, ports=frozenset({parsed.port}), networks=_PRIVATE)
    if parsed.is_address and not policy.opens(parsed.host):
        raise _not_private(parsed.host)
    check_url(url, policy)
    return policy


def local_resolver(clock: Clock, lookup: Lookup = system_lookup) -> Resolver:
    """Give a resolver that knows private addresses only: a name that has others, too, is not reached by them."""
    private = Policy(networks=_PRIVATE)

    def looked_up(host: str) -> Sequence[str]:
        return [address for address in lookup(host) if private.opens(address)]

    return Resolver(clock=clock, lookup=looked_up)


async def check_local(url: str, resolver: Resolver) -> None:
    """See that what the URL names is on this machine or in its network.

    Raises:
        InvalidInputError: `egress.blocked`.
    """
    parsed = parse_url(url)
    if not parsed.is_address and not (await resolver.resolve(parsed.host, timeout_s=_LOOKUP_S)).found:
        raise _not_private(parsed.host)


def _code(posted: Posted | Retry | Rejected) -> str:
    if not isinstance(posted, Posted):
        return posted.reason
    answer = posted.answer
    return answer.kind if isinstance(answer, EgressFailure) else str(answer.status)


def _not_private(host: str) -> InvalidInputError:
    return InvalidInputError(
        f"{host} is neither on this machine nor in a private network. For a public URL make an endpoint: "
        "'rowcast endpoints create'.",
        code="egress.blocked",
    )
