import inspect
import subprocess
import sys
from typing import Any

import pytest

import rowcast

PUBLIC = [
    "Event", "event_type", "upcaster", "Topic", "Priority", "emit", "emit_many", "Rule", "rule", "task", "enqueue",
    "Sink", "Delivery", "Outcome", "Delivered", "Retry", "Rejected", "Pack", "RowcastError", "errors",
]  # fmt: skip


def test_the_front_door_has_these_names_and_no_others() -> None:
    assert rowcast.__all__ == PUBLIC
    assert sorted(PUBLIC) == dir(rowcast)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_explains_itself(name: str) -> None:
    value: Any = getattr(rowcast, name)

    assert value is not None
    assert inspect.getdoc(value)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = rowcast.nothing_like_it


def test_importing_rowcast_loads_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import rowcast; print(sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert "rowcast" in loaded
    assert not any(word in loaded for word in ("rowcast.", "msgspec", "asyncpg", "asyncio"))


def test_declaring_and_emitting_load_no_driver_but_the_applications_own() -> None:
    script = "import sys; from rowcast import Event, emit, enqueue; print([m for m in ('psycopg', 'sqlalchemy', 'django', 'pydantic') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
