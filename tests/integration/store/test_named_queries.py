"""Every named query of every room parses on the oldest and the newest server, and says what it is for."""

from pathlib import Path

import pytest

import rowcast.store
from rowcast.store.pool import connect
from rowcast.store.sql import Query, load_queries

_ROOT = Path(rowcast.store.__file__).parent.parent
_ROOMS = sorted("rowcast." + ".".join(path.parent.relative_to(_ROOT).parts) for path in _ROOT.rglob("queries.sql"))
_QUERIES = [(room, query) for room in _ROOMS for query in load_queries(room).values()]


def _name(value: object) -> str:
    return value.name if isinstance(value, Query) else str(value)


@pytest.mark.parametrize("room", _ROOMS)
async def test_every_query_of_a_room_parses_on_the_server(any_module_dsn: str, room: str) -> None:
    connection = await connect(any_module_dsn)
    # A room may have scripts beside its queries, such as the tables of the sample.
    for script in sorted(_ROOT.joinpath(*room.split(".")[1:]).glob("*.sql")):
        if script.name != "schema.sql" and not script.name.startswith("queries"):
            await connection.run_script(script.read_text("utf-8"))
    wrong = {}
    for name, query in load_queries(room).items():
        for statement in query.text.split(";\n"):
            try:
                await connection.driver.prepare(statement)
            except Exception as error:  # noqa: BLE001 - all that is wrong, not the first thing only
                wrong[name] = str(error)
    await connection.close()

    assert wrong == {}


@pytest.mark.parametrize(("room", "query"), _QUERIES, ids=_name)
def test_a_query_says_in_a_comment_what_it_is_for(room: str, query: Query) -> None:
    assert query.text.startswith("-- "), f"{room}: {query.name}"
