"""How our values look in the HTTP API: camelCase names, JSON columns as JSON."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec

DeliveryStatus = Literal["waiting", "running", "delivered", "dead", "cancelled"]

GREATEST_ID = 2**63 - 1
"""The greatest number that the database takes as an id."""
RowId = Annotated[int, msgspec.Meta(ge=1, le=GREATEST_ID)]

_WORD = re.compile(r"_([a-z0-9])")
JSON_FIELDS = frozenset({"payload", "result"})
"""Fields of records that hold JSON text."""


class Problem(msgspec.Struct, frozen=True):
    """An error as RFC 9457 says, with our stable `code`."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def camel(name: str) -> str:
    """Give `someName` for `some_name`."""
    return _WORD.sub(lambda found: found.group(1).upper(), name)


def shown(record: msgspec.Struct | Mapping[str, Any]) -> dict[str, Any]:
    """Give a record with camelCase names; what is inside `payload` and `result` stays as it was written."""
    fields = record if isinstance(record, Mapping) else msgspec.structs.asdict(record)
    return {camel(name): _value(name, value) for name, value in fields.items()}


def shown_all(records: Iterable[msgspec.Struct]) -> list[dict[str, Any]]:
    """Give records with camelCase names."""
    return [shown(record) for record in records]


def _value(name: str, value: Any) -> Any:
    if name in JSON_FIELDS and isinstance(value, str):
        return msgspec.Raw(value.encode())
    return value
