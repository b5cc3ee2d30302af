"""Private channels by a declared table of who owns what: `orders:{id}` is open to whoever the row of that id names."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.errors import InvalidInputError, RowcastError
from rowcast.core.telemetry import tell
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, ChannelPolicy, Extension, Fault
from rowcast.realtime.topic_template import TopicTemplate, parse_template
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

_FAILED = Fault("Realtime was unable to connect to the project database")
_OWNERS_LIMIT = 1000


class OwnedTopic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose topics are whose: the row of `table` whose `key` is the topic's parameter has the claim's value in `owner`.

    Attributes:
        topic: A template with one parameter, such as `orders:{id}`.
        table: `orders`, or with its schema `shop.orders`; as the catalogue has it, without quotes.
        key: The column that the parameter names.
        owner: The column that names the owner.
        claim: The claim that must be equal; dots reach inside. A list in the token: one of them.
        is_writable: Whether owners may also send, not only hear and show their presence.
    """

    topic: str
    table: str
    key: str = "id"
    owner: str = "user_id"
    claim: str = "sub"
    is_writable: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be looked up.

        Raises:
            InvalidInputError: `input.topic_template` or `input.owner`.
        """
        words = self.table.split(".")
        if len(parse_template(self.topic).parameters) != 1:
            raise _wrong(self, "its topic must have exactly one parameter")
        if not 1 <= len(words) <= 2 or not all((*words, self.key, self.owner, self.claim)):
            raise _wrong(self, "table, key, owner and claim must be named")


class OwnerRules:
    """Looks up who owns a topic. One that no declaration fits is somebody else's. The service may do all."""

    __slots__ = ("_database", "_query", "_rules")

    def __init__(self, rules: Sequence[OwnedTopic], *, database: Database) -> None:
        """Take the declarations in order, and a pool of the role that may read their tables."""
        self._rules: tuple[tuple[TopicTemplate, OwnedTopic], ...] = tuple(
            (parse_template(rule.topic), rule) for rule in rules
        )
        self._database = database
        self._query = load_queries("rowcast.realtime")["is_owner"]

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault | None:
        """Give everything to an owner, nothing to others."""
        found = await self._find(claims, topic)
        if found is None:
            return None
        is_own = await self._owns(claims, *found)
        return is_own if isinstance(is_own, Fault) else Access(is_own, is_own)

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | Fault | None:
        """Tell whether an owner may say something: presence always, broadcasts where it is declared."""
        found = await self._find(claims, topic)
        if found is None:
            return None
        if extension == "broadcast" and not found[0].is_writable and not claims.is_service:
            return False
        return await self._owns(claims, *found)

    async def _find(self, claims: Claims, topic: str) -> tuple[OwnedTopic, str] | None:
        for template, rule in self._rules:
            parameters = template.match(topic)
            if parameters is not None:
                return rule, next(iter(parameters.values()))
        return None

    async def _owns(self, claims: Claims, rule: OwnedTopic, key: str) -> bool | Fault:
        if claims.is_service:
            return True
        owners = claimed_owners(claims.document, rule.claim)
        if not owners:
            return False
        schema, _, table = rule.table.rpartition(".")
        try:
            row = await self._database.fetch_one(
                self._query, schema=schema or "public", table=table, key_column=rule.key, key=key,
                owner_column=rule.owner, owners=owners,
            )  # fmt: skip
        except RowcastError as error:
            tell("owner_rule.failed", topic=rule.topic, error=error.code)
            return _FAILED
        if row is None or row["is_owner"] is None:
            # The table or a column of the declaration is not there.
            tell("owner_rule.failed", topic=rule.topic, error="config.owner")
            return _FAILED
        return bool(row["is_owner"])


def parse_owners(tables: Iterable[Mapping[str, Any]]) -> tuple[OwnedTopic, ...]:
    """Give the declarations of `[[owner]]` tables in a settings file.

    Raises:
        InvalidInputError: `input.owner` or `input.topic_template`.
    """
    found: list[OwnedTopic] = []
    for table in tables:
        try:
            found.append(msgspec.convert(dict(table), OwnedTopic))
        except msgspec.ValidationError as error:
            raise InvalidInputError(
                f"The owner of {str(table.get('topic', '?'))[:140]!r} cannot be used: {error}.", code="input.owner"
            ) from error
    return tuple(found)


def claimed_owners(document: bytes, claim: str) -> list[str]:
    """Give who a token says its bearer is, under one claim: a text, a number, or a list of those; otherwise nobody."""
    value: object = msgspec.json.decode(document)
    for word in claim.split("."):
        if not isinstance(value, dict):
            return []
        value = value.get(word)
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values[:_OWNERS_LIMIT] if isinstance(each, str) or type(each) is int]


def _wrong(rule: OwnedTopic, why: str) -> InvalidInputError:
    return InvalidInputError(f"The owner of {rule.topic[:140]!r} cannot be used: {why}.", code="input.owner")


_CONTRACT: type[ChannelPolicy] = OwnerRules
