"""What is built for which role, and from which settings."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from rowcast import rule, task
from rowcast.bus.memory import MemoryBus
from rowcast.bus.postgres import PostgresBus
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.pack import Pack
from rowcast.delivery.lane import alike
from rowcast.delivery.rate_limit import Limits
from rowcast.jobs.sink import JobSink
from rowcast.server.app import open_app, sink_options, worker_name
from tests.integration.server.running import settings_for


@pytest.mark.parametrize(
    ("roles", "built"),
    [
        (("gateway",), {"hub"}),
        (("relay",), {"relay", "archive"}),
        (("delivery",), {"runner"}),
        (("gateway", "relay", "delivery"), {"hub", "relay", "archive", "runner"}),
    ],
)
async def test_a_process_has_what_its_roles_need_and_nothing_else(
    dsn: str, roles: tuple[str, ...], built: set[str]
) -> None:
    async with open_app(settings_for(dsn, roles), database_url=dsn, packs=()) as app:
        there = {name for name in ("hub", "relay", "archive", "runner") if getattr(app, name) is not None}

    assert there == built


async def test_nodes_are_told_through_the_database_unless_there_is_only_one(dsn: str) -> None:
    settings = settings_for(dsn, ("gateway",))
    async with open_app(settings, database_url=dsn, packs=()) as app:
        assert isinstance(app.bus, PostgresBus)
        assert app.is_bus_connected is not None
        assert app.is_bus_connected()
    async with open_app(settings, database_url=dsn, packs=(), is_alone=True) as app:
        assert isinstance(app.bus, MemoryBus)
        assert app.is_bus_connected is None


@pytest.mark.parametrize(("asked", "name"), [("auto", "wal"), ("wal", "wal"), ("claim", "claim")])
async def test_the_log_is_streamed_where_it_can_be(dsn: str, asked: str, name: str) -> None:
    settings = settings_for(dsn, ("relay",), relay__feed=asked)
    async with open_app(settings, database_url=dsn, packs=()) as app:
        assert app.relay is not None
        assert app.relay._feed.name == name


async def test_a_rule_to_a_sink_that_is_not_there_is_refused(dsn: str) -> None:
    pack = Pack(name="lost", rules=(rule("lost.rule", ("a.b",), sink="nowhere", target="x"),))

    with pytest.raises(ConfigError) as refused:
        async with open_app(settings_for(dsn, ("relay",)), database_url=dsn, packs=(pack,)):
            pass

    assert refused.value.code == "config.rule_sink"


async def test_a_database_that_is_away_is_unavailable() -> None:
    away = "postgresql://nobody@127.0.0.1:1/none"

    with pytest.raises(StoreUnavailableError):
        async with open_app(settings_for(away, ("relay",)), database_url=away, packs=()):
            pass


def test_a_job_may_take_as_long_as_its_task_says() -> None:
    @task(name="app.slow", timeout_s=900.0)
    async def slow() -> None: ...

    settings = settings_for("postgresql://h/d", ("delivery",), delivery__timeout_s=5.0)
    with ThreadPoolExecutor(1) as executor:
        options = sink_options(settings, JobSink(tasks=(slow,), executor=executor), alike(Limits()))

    assert options.timeout_s == 900.0
    assert options.limits is None


def test_a_worker_is_named_by_host_and_process() -> None:
    assert worker_name().endswith(f":{os.getpid()}")
