"""The one door out: HTTP for every room, with the guard, the limits and the deadline applied to each request."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count

import certifi
import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import InvalidInputError
from rowcast.core.telemetry import tell
from rowcast.egress.guard import Policy, check_url, is_blocked
from rowcast.egress.header_lines import header_lines
from rowcast.egress.host_places import HostPlaces
from rowcast.egress.reply import Answer, EgressFailure, EgressSettings, FailureKind, merged_timings
from rowcast.egress.resolver import Resolver
from rowcast.egress.terms import NO_TERMS, Terms
from rowcast.egress.transfer import Request, Transfer
from rowcast.egress.wire import Finished, Wire

_STOP_S = 5.0
# The wire keeps the deadline; this is how much later the loop stops believing in the wire.
_GRACE_S = 5.0


class EgressClient:
    """Posts, and gets. Made by `open_client`; at most `max_in_flight` at a time, one more is answered `full`."""

    def __init__(self, *, settings: EgressSettings, policy: Policy, resolver: Resolver, clock: Clock) -> None:
        """Make the wire; `open_client` starts and stops it."""
        self._settings = settings
        self._policy = policy
        self._resolver = resolver
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._is_wake_due = False
        self._is_closed = False
        self._in_flight = 0
        self._places = HostPlaces(limit=settings.host_limit, wait_s=settings.host_wait_s)
        self._wire = Wire(
            make_transfer=lambda: Transfer(
                settings=settings, policy=policy, ca_file=settings.ca_file or certifi.where()
            ),
            report=self._report,
            max_connections=settings.max_in_flight * 2,
        )

    @property
    def in_flight(self) -> int:
        """Give the number of requests under way."""
        return self._in_flight

    async def post(
        self,
        url: str,
        body: bytes,
        *,
        headers: Mapping[str, str],
        timeout_s: float | None = None,
        terms: Terms = NO_TERMS,
    ) -> Answer:
        """Post `body` once and give the answer or the failure; never raises for what the other side does.

        Args:
            url: Judged by the policy, as is every address its name stands for.
            body: The bytes as they are to be sent.
            headers: Beside those of the connection itself.
            timeout_s: The whole time from the look-up to the last byte; by default that of the settings.
            terms: What holds for this request only.
        """
        timeout_s = timeout_s or self._settings.timeout_s
        return await self._ask(url, body, headers=headers, timeout_s=timeout_s, terms=terms)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_s: float | None = None) -> Answer:
        """Get a document, once, with everything that holds for a post."""
        timeout_s = timeout_s or self._settings.timeout_s
        return await self._ask(url, None, headers=headers, timeout_s=timeout_s, terms=NO_TERMS)

    def start(self) -> None:
        """Start the wire's thread."""
        self._wire.start()

    async def stop(self) -> None:
        """Answer everything under way as closed, and end the thread."""
        self._is_closed = True
        self._resolver.close()
        self._wire.stop()
        await asyncio.to_thread(self._wire.join, _STOP_S)

    async def _ask(
        self, url: str, body: bytes | None, *, headers: Mapping[str, str], timeout_s: float, terms: Terms
    ) -> Answer:
        try:
            target, lines = check_url(url, self._policy_of(terms)), header_lines(headers)
        except InvalidInputError as error:
            return _failed("blocked" if error.code == "egress.blocked" else "invalid", str(error))
        if self._is_closed:
            return _failed("closed", "this process is shutting down")
        if self._in_flight >= self._settings.max_in_flight:
            return _failed("full", f"{self._in_flight} requests are in flight")
        self._in_flight += 1
        try:
            return await self._send_in_turn(Request(target, lines, body, (), timeout_s, terms))
        finally:
            self._in_flight -= 1

    async def _send_in_turn(self, request: Request) -> Answer:
        if not await self._places.take(request.url.host):
            return _failed("full", "too many requests to this host are in flight")
        try:
            return await self._send(request)
        finally:
            self._places.free(request.url.host)

    async def _send(self, request: Request) -> Answer:
        started_s = self._clock.monotonic_s()
        addresses = await self._addresses(request)
        if isinstance(addresses, EgressFailure):
            return addresses
        spent_s = self._clock.monotonic_s() - started_s
        if spent_s >= request.timeout_s:
            return _failed("timeout", "the deadline passed while the name was looked up")
        left_s = request.timeout_s - spent_s
        answer = await self._exchange(msgspec.structs.replace(request, addresses=addresses, timeout_s=left_s))
        if not addresses:
            return answer
        return msgspec.structs.replace(answer, timings=merged_timings(answer.timings, spent_s * 1000))

    async def _addresses(self, request: Request) -> tuple[str, ...] | EgressFailure:
        """Give the judged addresses of a name; an address that stands in the URL itself needs no look-up.

        A proxy looks names up itself: those known here are judged all the same, and not handed on.
        """
        target = request.url
        if target.is_address:
            return ()
        timeout_s = min(request.timeout_s, self._settings.connect_timeout_s)
        answer = await self._resolver.resolve(target.host, timeout_s=timeout_s)
        if answer.is_crowded and not answer.found and not self._settings.proxy:
            return _failed("full", answer.problem)
        if not answer.found and not self._settings.proxy:
            return _failed("dns", f"the name has no address: {answer.problem}")
        policy = self._policy_of(request.terms)
        if any(is_blocked(address, url=target, policy=policy) for address in answer.found):
            return _failed("blocked", "the name stands for an address that is not on the public Internet")
        return () if self._settings.proxy else answer.found

    def _policy_of(self, terms: Terms) -> Policy:
        return msgspec.structs.replace(self._policy, networks=terms.networks) if terms.networks else self._policy

    async def _exchange(self, request: Request) -> Answer:
        number = next(self._numbers)
        self._waiting[number] = future = self._loop.create_future()
        self._wire.send(number, request)
        self._wake_soon()
        overdue = self._loop.call_later(request.timeout_s + _GRACE_S, self._give_up, number)
        try:
            answer: Answer = await future
            return answer
        finally:
            overdue.cancel()
            if self._waiting.pop(number, None) is not None and (not future.done() or future.cancelled()):
                self._wire.drop(number)
                self._wake_soon()

    def _give_up(self, number: int) -> None:
        """Stop believing in the wire."""
        self._wire.drop(number)
        self._wake_soon()
        # It is we who stand still: nothing says that nobody is there.
        failure = EgressFailure("timeout", "the exchange did not end in time", is_connected=True)
        self._settle([(number, failure)])

    def _wake_soon(self) -> None:
        """Wake the wire once for all that is ordered in this turn of the loop: each wake hands the interpreter over."""
        if not self._is_wake_due:
            self._is_wake_due = True
            self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._is_wake_due = False
        self._wire.wake()

    def _report(self, finished: Finished) -> None:
        """Hand a batch over from the wire's thread to the loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, finished)

    def _settle(self, finished: Finished) -> None:
        for number, answer in finished:
            future = self._waiting.get(number)
            if future is not None and not future.done():
                future.set_result(answer)


@asynccontextmanager
async def open_client(
    *,
    clock: Clock,
    settings: EgressSettings | None = None,
    policy: Policy | None = None,
    resolver: Resolver | None = None,
) -> AsyncIterator[EgressClient]:
    """Open the door for the time of a block; what is under way at its end is answered as closed."""
    client = EgressClient(
        settings=settings or EgressSettings(),
        policy=policy or Policy(),
        resolver=resolver or Resolver(clock=clock),
        clock=clock,
    )
    client.start()
    try:
        yield client
    finally:
        await client.stop()


def _failed(kind: FailureKind, text: str) -> EgressFailure:
    if kind in ("blocked", "full"):
        tell(f"egress.{kind}")
    return EgressFailure(kind, text)
