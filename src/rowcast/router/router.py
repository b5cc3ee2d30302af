"""The router: asks the plan what a batch of events owes, and the sinks who exactly that is."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import ConfigError, RowcastError, StoreError, StoreUnavailableError
from rowcast.core.sink import LiveSink, Sink
from rowcast.core.telemetry import tell
from rowcast.outbox.feed import EventHandler, Routed
from rowcast.router.plan import RuleSet
from rowcast.router.rule import Rule

Pair = tuple[Envelope, Owed]


class Router:
    """Routes events by rules. Implements the relay's `EventHandler`."""

    __slots__ = ("_live_sinks", "_rules", "_sinks", "_timeout_s")

    def __init__(
        self,
        *,
        rules: Iterable[Rule],
        sinks: Iterable[Sink] = (),
        live_sinks: Iterable[LiveSink] = (),
        timeout_s: float = 10.0,
    ) -> None:
        """Compile the rules and hold each against the sinks there are.

        Raises:
            InvalidInputError: `input.rule`, when two rules have one name.
            ConfigError: `config.rule_sink`, when a rule names a sink that is not there.
        """
        self._rules = RuleSet(rules)
        self._sinks = {sink.name: sink for sink in sinks}
        self._live_sinks = {sink.name: sink for sink in live_sinks}
        self._timeout_s = timeout_s
        self._check_sinks()

    @property
    def rules(self) -> RuleSet:
        """Give the compiled rules, for whoever explains a plan."""
        return self._rules

    async def route(self, events: Sequence[Envelope]) -> Sequence[Routed]:
        """Give what each event owes, in order, as its rules say it. A fault of one event is its `error`."""
        return [self._draft(event) for event in events]

    async def tell(self, routed: Sequence[Routed]) -> None:
        """Tell the live sinks, in order. A live sink that is broken holds nothing up: what is owed durably goes on.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the other nodes cannot be told now: the batch comes again.
        """
        pairs: dict[str, list[Pair]] = defaultdict(list)
        for each in routed:
            if each.error is None:
                for owed in each.live:
                    pairs[owed.sink].append((each.event, owed))
        for name, owing in pairs.items():
            await self._tell(self._live_sinks[name], owing)

    async def expand(self, routed: Sequence[Routed]) -> Sequence[Routed]:
        """Ask each sink once who is meant, and put the answers back event by event, in the order of the rules.

        Raises:
            StoreUnavailableError: `store.unavailable`, when a sink cannot look its targets up now: the batch comes
                again.
        """
        places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for index, draft in enumerate(routed):
            for position, owed in enumerate(draft.durable):
                places[owed.sink].append((index, position))
        answers: dict[tuple[int, int], Sequence[Owed] | str] = {}
        for name, spots in places.items():
            pairs = [(routed[index].event, routed[index].durable[position]) for index, position in spots]
            answers.update(zip(spots, await self._targets(self._sinks[name], pairs), strict=True))
        return [_filled(draft, index, answers) for index, draft in enumerate(routed)]

    def _check_sinks(self) -> None:
        there = self._sinks.keys() | self._live_sinks.keys()
        for rule in self._rules.rules:
            if rule.sink not in there:
                listed = ", ".join(sorted(there)) or "none"
                raise ConfigError(
                    f"The rule {rule.name!r} names the sink {rule.sink!r}. There are: {listed}.",
                    code="config.rule_sink",
                )

    def _draft(self, event: Envelope) -> Routed:
        try:
            owed = self._rules.owed(event)
        except RowcastError as error:
            return Routed(event, error=f"{error.code}: {error}")
        live = tuple(each for each in owed if each.sink in self._live_sinks)
        return Routed(event, live, tuple(each for each in owed if each.sink not in self._live_sinks))

    async def _targets(self, sink: Sink, pairs: list[Pair]) -> Sequence[Sequence[Owed] | str]:
        try:
            return await self._ask(sink, pairs)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: one bad event must not fail its batch
            if len(pairs) == 1:
                return [f"{sink.name}: {type(error).__name__}: {error}"]
        return [answer for pair in pairs for answer in await self._targets(sink, [pair])]

    async def _ask(self, sink: Sink, pairs: list[Pair]) -> Sequence[Sequence[Owed]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                answers = await sink.targets(pairs)
        except TimeoutError as error:
            raise StoreUnavailableError(
                f"The sink {sink.name} did not name its targets in {self._timeout_s} s."
            ) from error
        if len(answers) != len(pairs):
            raise ValueError(f"{len(answers)} answers to {len(pairs)} questions")
        return answers

    async def _tell(self, sink: LiveSink, pairs: list[Pair]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await sink.tell(pairs)
        except StoreUnavailableError:
            # Other nodes were not told: the batch comes again, and sockets hear it at least once.
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: sockets must not hold up deliveries
            tell("router.live_failed", sink=sink.name, events=len(pairs), error=type(error).__name__)


def _filled(draft: Routed, index: int, answers: dict[tuple[int, int], Sequence[Owed] | str]) -> Routed:
    durable: list[Owed] = []
    for position in range(len(draft.durable)):
        answer = answers[index, position]
        if isinstance(answer, str):
            return Routed(draft.event, error=answer)
        durable += answer
    return msgspec.structs.replace(draft, durable=tuple(durable))


_CONTRACT: type[EventHandler] = Router
