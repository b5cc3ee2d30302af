from rowcast.capture.change_packet import Lead, Piece, Wish, pack_packet, read_packet
from rowcast.core.row_change import ChangedColumn, ChangedRow, ChangedTable, RowChanges

TABLE = ChangedTable(7, "public", "orders", "d", (ChangedColumn("id", 20, True),), 3)


def test_every_packet_comes_back_as_it_was() -> None:
    row = ChangedRow("DELETE", 0, 5, None, [b"\xff\x00"], True)
    packets = (Wish("a"), Lead("b:1", 4, ("a", "c")), Piece("b:1", 3, RowChanges((TABLE,), [row])))

    assert [read_packet(pack_packet(packet)) for packet in packets] == list(packets)


def test_what_is_no_packet_is_none() -> None:
    assert [read_packet(message) for message in (b"", b"\x93\x01", b"{}", b"\xc1", pack_packet(Wish("a")) + b"x")] == [
        None
    ] * 5
