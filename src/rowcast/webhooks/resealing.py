"""Sealing anew: every sealed value gets the ring's first key, some rows at a time, while everything runs on."""

from collections.abc import Callable, Sequence

import msgspec

from rowcast.core.errors import ConfigError, RowcastError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database, Row
from rowcast.store.sql import load_queries
from rowcast.webhooks.sealing import KeyRing, Place, seal_context, sealed_head

BATCH_ROWS = 500
# Each place: the query that finds what other keys have sealed, the one that replaces it, and where to begin.
_PLACES: dict[Place, tuple[str, str, str]] = {
    "endpoint_secret": ("other_endpoint_secrets", "reseal_endpoint_secret", "0"),
    "endpoint_headers": ("other_endpoint_headers", "reseal_endpoint_headers", ""),
    "endpoint_authentication": ("other_endpoint_authentication", "reseal_endpoint_authentication", ""),
    "idempotent_answer": ("other_idempotent_answers", "reseal_idempotent_answer", ""),
    "incoming_source": ("other_incoming_sources", "reseal_incoming_source", ""),
}


class SealedCount(msgspec.Struct, frozen=True):
    """How many values of one place one key has sealed; `key` None: they lie as they are."""

    place: str
    key: str | None
    values: int


class Resealed(msgspec.Struct, frozen=True, rename="camel"):
    """What a rotation did: values that were sealed anew, and those that stayed because they could not be opened."""

    first_key: str
    sealed: int
    unopened: int


class Resealer:
    """Seals with the ring's first key. It may be stopped, begun again, and run twice at once: nothing is done twice."""

    def __init__(self, *, database: Database, ring: KeyRing) -> None:
        """Ask for what it needs; the ring holds the old keys too."""
        self._database = database
        self._ring = ring
        self._queries = load_queries("rowcast.webhooks")

    async def counts(self) -> tuple[SealedCount, ...]:
        """Give how many values each key has sealed."""
        rows = await self._database.fetch(self._queries["sealed_values"])
        return tuple(SealedCount(row["place"], row["key"], row["values"]) for row in rows)

    async def run(self, *, progress: Callable[[int], None] = lambda _: None) -> Resealed:
        """Seal everything anew; `progress` hears now and then how many values have been sealed so far.

        Raises:
            ConfigError: `config.no_seal_key`, when the ring has no key.
        """
        if self._ring.first_name is None:
            raise ConfigError(
                "There is no key to seal with. Print one with 'rowcast secrets new-key' and put it into secrets.keys.",
                code="config.no_seal_key",
            )
        sealed, unopened = 0, 0
        for place in _PLACES:
            after: str | None = _PLACES[place][2]
            while after is not None:
                changed, failed, after = await self._batch(place, after)
                sealed, unopened = sealed + changed, unopened + failed
                if changed:
                    progress(sealed)
        return Resealed(self._ring.first_name, sealed, unopened)

    async def _batch(self, place: Place, after: str) -> tuple[int, int, str | None]:
        """Seal the next rows of a place; gives how many were, how many could not be opened, and where to go on."""
        find, replace, _ = _PLACES[place]
        head = sealed_head(self._ring.first_name or "")
        async with self._database.transaction() as connection:
            rows = await connection.fetch(self._queries[find], after=after, head=head, most=BATCH_ROWS)
            changes = self._changes(place, rows)
            await connection.execute_many(self._queries[replace], changes)
        return len(changes), len(rows) - len(changes), rows[-1]["id"] if len(rows) == BATCH_ROWS else None

    def _changes(self, place: Place, rows: Sequence[Row]) -> list[dict[str, object]]:
        changes: list[dict[str, object]] = []
        for row in rows:
            context = seal_context(place, row["owner"])
            try:
                value = self._ring.seal(self._ring.open(row["value"], context=context), context=context)
            except RowcastError as error:
                tell("secret.open_failed", code=error.code)
                continue
            # Only where it is still what was read: whoever changed it meanwhile has sealed it already.
            changes.append({"id": row["id"], "was": row["value"], "value": value})
        return changes
