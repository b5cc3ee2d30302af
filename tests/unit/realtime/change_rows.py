"""Tables and rows for the tests of what is told about them."""

from rowcast.core.row_change import Cell, ChangedColumn, ChangedRow, ChangedTable
from rowcast.realtime.change_filter import parse_filter
from rowcast.realtime.change_index import Audience
from rowcast.realtime.change_types import Collation, ColumnFacts, ColumnType, Literals, RoleFacts, TableFacts
from rowcast.realtime.changes_view import Asked, ChangeView

INT, TEXT = ColumnType("int8", "int8"), ColumnType("text", "text", is_text=True)
TYPES = {20: INT, 25: TEXT}
TABLE = ChangedTable(3, "public", "orders", "d", (ChangedColumn("id", 20, True), ChangedColumn("status", 25, False)), 1)
ANON = Audience("anon", b'{"sub":"1"}')


class Receiver:
    """A channel that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[tuple[int, ...], bytes]] = []
        self.system: list[tuple[str, str]] = []

    def hear_change(self, ids: tuple[int, ...], data: bytes) -> None:
        self.heard.append((ids, data))

    def hear_changes_system(self, status: str, text: str) -> None:
        self.system.append((status, text))


def insert(*cells: Cell) -> ChangedRow:
    return ChangedRow("INSERT", 0, 0, list(cells))


def delete(*cells: Cell, is_whole: bool = False) -> ChangedRow:
    return ChangedRow("DELETE", 0, 0, None, list(cells), is_whole)


def asked(number: int = 1, filter_: str = "", *, event: str = "*", audience: Audience = ANON) -> Asked:
    conditions = parse_filter(filter_)
    assert isinstance(conditions, tuple)
    return Asked(number, event, "public", "orders", conditions, None, audience)


def view(*, is_guarded: bool = False, is_checked: bool = False) -> ChangeView[Receiver]:
    facts = TableFacts(3, "public", "orders", is_guarded, ["id"], [])
    columns = {
        "id": ColumnFacts("id", INT, Collation(), "bigint"),
        "status": ColumnFacts("status", TEXT, Collation(), "text"),
    }
    made: ChangeView[Receiver] = ChangeView(TABLE, facts, TYPES, columns, checks_deletes=False)
    made.roles["anon"] = RoleFacts(is_checked, frozenset({"id", "status"}))
    return made


def subscribe(made: ChangeView[Receiver], receiver: Receiver, *wanted: Asked) -> None:
    for each in wanted:
        for condition in each.conditions:
            made.literals[condition] = Literals(condition.operands)
        assert made.add(receiver, each)
