"""What an application pays for importing rowcast."""

import subprocess
import sys

import pytest

import rowcast


def loaded_by(statement: str) -> set[str]:
    """Give the modules that a statement loads in a new process."""
    script = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(said.split())


def test_importing_rowcast_loads_no_room() -> None:
    loaded = loaded_by("import rowcast")

    assert "rowcast" in loaded
    assert not any(module.startswith(("rowcast.", "msgspec", "asyncio")) for module in loaded)


def test_declaring_emitting_and_enqueueing_load_no_driver_but_the_applications_own() -> None:
    loaded = loaded_by("from rowcast import Event, Pack, emit, enqueue, event_type, rule, task")

    assert not loaded & {"asyncpg", "psycopg", "sqlalchemy", "django", "pydantic", "opentelemetry", "litestar"}


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = rowcast.nothing_like_it


def test_the_names_that_an_editor_completes_are_the_public_ones() -> None:
    assert dir(rowcast) == sorted(rowcast.__all__)
