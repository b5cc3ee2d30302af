"""Private channels by Python: a function for each kind of topic says who may hear and say what."""

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.errors import InvalidInputError, UsageError
from rowcast.core.telemetry import tell
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, ChannelPolicy, Extension, Fault
from rowcast.realtime.topic_template import TopicTemplate, parse_template

_TOO_LONG = Fault("Realtime was unable to connect to the project database")
Check = Callable[..., Any]


class ChannelAccess(Access, frozen=True):
    """What somebody may do on a channel; nothing that is not named here."""

    writes_broadcast: bool = False
    writes_presence: bool = False


EVERYTHING = ChannelAccess(reads_broadcast=True, reads_presence=True, writes_broadcast=True, writes_presence=True)


class ChannelRule(msgspec.Struct, frozen=True):
    """A function that decides for the topics of a template. Called like the function, it is the function."""

    template: str
    check: Check
    parsed: TopicTemplate

    def __call__(self, claims: Mapping[str, Any], /, **parameters: str) -> Any:
        """Call the function."""
        return self.check(claims, **parameters)


def channel(template: str) -> Callable[[Check], ChannelRule]:
    """Make a rule of a function: `@channel("orders:{id}")` over `def orders(claims, id)`.

    The function gets the claims of the token, all of them, and the parameters of the topic by name; it may be async.
    True opens everything, a `ChannelAccess` what it names; whatever else it gives, or raises, opens nothing.

    Raises:
        InvalidInputError: `input.topic_template`.
        UsageError: `usage.channel`, for a function that does not take the claims and exactly the parameters.
    """
    parsed = parse_template(template)

    def make(check: Check) -> ChannelRule:
        _check_parameters(template, parsed, check)
        return ChannelRule(template, check, parsed)

    return make


class ChannelRules:
    """Asks the first rule whose template fits. A topic that fits none is somebody else's. The service may do all."""

    __slots__ = ("_rules", "_timeout_s")

    def __init__(self, rules: Sequence[ChannelRule], *, timeout_s: float = 4.0) -> None:
        """Take the rules in order, and how long an async one may take.

        Raises:
            UsageError: `usage.channel`, when two have one template.
        """
        templates = [rule.template for rule in rules]
        if len(set(templates)) != len(templates):
            twice = next(template for template in templates if templates.count(template) > 1)
            raise UsageError(
                f"Two rules of channels have the template {twice!r}. Make one of them.", code="usage.channel"
            )
        self._rules = tuple(rules)
        self._timeout_s = timeout_s

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault | None:
        """Give what the rule of this topic lets `claims` hear."""
        found = await self._decide(claims, topic)
        if found is None or isinstance(found, Fault):
            return found
        return Access(found.reads_broadcast, found.reads_presence)

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | Fault | None:
        """Tell whether the rule of this topic lets `claims` say something."""
        found = await self._decide(claims, topic)
        if found is None or isinstance(found, Fault):
            return found
        return found.writes_presence if extension == "presence" else found.writes_broadcast

    async def _decide(self, claims: Claims, topic: str) -> ChannelAccess | Fault | None:
        for rule in self._rules:
            parameters = rule.parsed.match(topic)
            if parameters is not None:
                return EVERYTHING if claims.is_service else await self._run(rule, claims, parameters)
        return None

    async def _run(self, rule: ChannelRule, claims: Claims, parameters: Mapping[str, str]) -> ChannelAccess | Fault:
        try:
            async with asyncio.timeout(self._timeout_s):
                found = rule.check(msgspec.json.decode(claims.document), **parameters)
                return read_decision(await found if inspect.isawaitable(found) else found)
        except TimeoutError:
            tell("channel_rule.failed", template=rule.template, error="timeout")
            return _TOO_LONG
        except Exception as error:  # noqa: BLE001 - the application's code: a rule that fails opens nothing
            tell("channel_rule.failed", template=rule.template, error=type(error).__name__)
            return ChannelAccess()


def read_decision(found: object) -> ChannelAccess:
    """Give what a rule's answer opens: True everything, an access what it names, anything else nothing."""
    if found is True:
        return EVERYTHING
    if isinstance(found, ChannelAccess):
        return found
    if isinstance(found, Access):
        return ChannelAccess(found.reads_broadcast, found.reads_presence)
    return ChannelAccess()


def _check_parameters(template: str, parsed: TopicTemplate, check: Check) -> None:
    try:
        inspect.signature(check).bind({}, **dict.fromkeys(parsed.parameters, ""))
    except TypeError as error:
        raise UsageError(
            f"The rule of {template!r} takes other parameters ({error}). It must take the claims, then "
            f"{', '.join(parsed.parameters) or 'nothing'}.",
            code="usage.channel",
        ) from error
    except ValueError as error:
        raise InvalidInputError(f"The rule of {template!r} is no function.", code="input.topic_template") from error


_CONTRACT: type[ChannelPolicy] = ChannelRules
