import pytest

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.core.row_change import RowChange


def test_a_null_and_a_missing_column_differ() -> None:
    change = RowChange("public", "orders", "UPDATE", {"id": "1", "note": None}, {"id": "1"})

    assert decode_json(encode_json(change), RowChange) == change


def test_another_operation_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        decode_json('{"schema":"a","table":"b","operation":"TRUNCATE","record":null,"old_record":null}', RowChange)
