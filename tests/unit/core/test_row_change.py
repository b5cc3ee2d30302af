import msgspec

from rowcast.core.row_change import ChangedColumn, ChangedRow, ChangedTable, RowChanges


def test_a_null_an_empty_text_and_a_missing_value_differ_also_after_the_way_between_nodes() -> None:
    table = ChangedTable(7, "public", "orders", "d", (ChangedColumn("id", 20, True), ChangedColumn("note", 25, False)))
    row = ChangedRow("UPDATE", 0, 5, [b"1", None, b"", False], [b"1", None, None, None])
    changes = RowChanges((table,), [row])

    found = msgspec.msgpack.decode(msgspec.msgpack.encode(changes), type=RowChanges)

    assert found == changes
    assert found.rows[0].new == [b"1", None, b"", False]
