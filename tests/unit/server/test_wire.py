from datetime import UTC, datetime

import msgspec

from rowcast.server.wire import camel, shown, shown_all


class Record(msgspec.Struct):
    tenant_id: str
    payload: str | None = None
    created_at: datetime | None = None


def test_names_are_camel_case() -> None:
    assert [camel(name) for name in ("id", "tenant_id", "last_at_2")] == ["id", "tenantId", "lastAt2"]


def test_a_json_column_is_json_and_stays_as_it_was_written() -> None:
    row = shown(Record("acme", '{"order_id": 1.50}'))

    assert msgspec.json.encode(row) == b'{"tenantId":"acme","payload":{"order_id": 1.50},"createdAt":null}'


def test_a_mapping_is_shown_as_a_record_is() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    assert shown({"created_at": at}) == {"createdAt": at}
    assert shown_all([Record("a"), Record("b")])[1]["tenantId"] == "b"
