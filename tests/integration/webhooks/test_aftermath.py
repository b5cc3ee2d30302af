"""Endpoints that fail, are healed, and are given up."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Postponed, Rejected
from rowcast.core.telemetry import listening
from rowcast.delivery.lane import SinkOptions
from rowcast.delivery.ledger import Hold
from rowcast.server.app import sink_options
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.endpoint_health import Change, EndpointHealth
from tests.integration.egress.receivers import answer
from tests.integration.server.running import settings_for
from tests.integration.webhooks.engine import Engine, limits_of, run_until


async def test_the_first_failure_is_noted_and_the_next_success_forgets_it(engine: Engine) -> None:
    endpoint, sink = await engine.endpoint("/turns"), engine.sink()
    engine.receiver.answers["/turns"] = [answer("503 Busy"), answer("503 Busy"), answer()]

    states = []
    for _ in range(3):
        await engine.deliver(sink, endpoint)
        states.append(await engine.state(endpoint))

    assert states == [(False, None, True, False)] * 2 + [(False, None, False, False)]


async def test_days_of_failures_only_disable_an_endpoint_after_one_last_probe(engine: Engine) -> None:
    old = "clock_timestamp() - interval '5 days 1 minute'"
    dead, healed = await engine.endpoint("/broken"), await engine.endpoint("/ok")
    await engine.run(f"update rowcast.endpoint set failing_since = {old}")
    sink = engine.sink(operational_tenant="ops")

    failed, fine = await engine.deliver(sink, dead), await engine.deliver(sink, healed)
    after = await engine.deliver(sink, dead)

    assert (failed.reason, type(fine)) == ("http_500", Delivered)
    assert after == Rejected("endpoint_disabled", excerpt="failing", is_cancelled=True)
    assert await engine.state(dead) == (True, "failing", False, True)
    assert await engine.state(healed) == (False, None, False, False)
    assert engine.receiver.paths() == {"/broken": 1, "/ok": 1}
    ((event_type, payload),) = await engine.events("ops")
    assert event_type == "endpoint.disabled"
    assert (payload["endpointId"], payload["appUid"], payload["reason"]) == (dead, "acme", "failing")
    assert payload["failSince"]


async def test_days_that_are_not_over_disable_nobody(engine: Engine) -> None:
    endpoint = await engine.endpoint("/broken")
    await engine.run("update rowcast.endpoint set failing_since = clock_timestamp() - interval '4 days 23 hours'")

    await engine.deliver(engine.sink(), endpoint)

    assert (await engine.state(endpoint))[0] is False


async def test_an_endpoint_that_is_enabled_again_begins_anew(engine: Engine) -> None:
    endpoint = await engine.endpoint("/broken")
    await engine.run("update rowcast.endpoint set failing_since = clock_timestamp() - interval '9 days'")
    await engine.deliver(engine.sink(), endpoint)
    given_up = await engine.state(endpoint)

    await engine.table.update("acme", endpoint, EndpointDraft(url=engine.url + "/broken"))
    enabled = await engine.state(endpoint)
    await engine.deliver(engine.sink(), endpoint)

    assert given_up == (True, "failing", False, True)
    assert enabled == (False, None, False, False)
    assert await engine.state(endpoint) == (False, None, True, False)


async def test_a_message_that_cannot_be_posted_at_all_is_told_as_one_that_used_up_its_attempts(engine: Engine) -> None:
    endpoint = await engine.endpoint("/ok", url="https://10.0.0.1/closed")

    outcome = await engine.deliver(engine.sink(operational_tenant="ops"), endpoint)

    assert isinstance(outcome, Rejected)
    ((event_type, facts),) = await engine.events("ops")
    assert event_type == "message.attempt.exhausted"
    assert facts["endpointId"] == endpoint


def delivered(engine: Engine) -> Callable[[], Awaitable[bool]]:
    async def is_done() -> bool:
        rows = await engine.rows("select status from rowcast.delivery")
        return [row["status"] for row in rows] == ["delivered"]

    return is_done


async def test_where_our_database_is_away_nothing_is_posted_and_no_attempt_is_counted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: object) -> object:
        raise StoreUnavailableError("away")

    endpoint = await engine.endpoint("/ok", retry_schedule_s=[])
    await engine.owe(endpoint)
    with monkeypatch.context() as broken:
        broken.setattr("rowcast.webhooks.table.EndpointTable.for_signing", away)
        (delivery,) = (await engine.ledger.claim("webhooks", 1)).deliveries
        assert await engine.sink().deliver(delivery) == Postponed(5.0, "store")
        await engine.ledger.put_back([Hold(delivery, 0.0, "store")])

    await run_until(engine, engine.sink(), delivered(engine))

    assert [path for path, _, _ in engine.receiver.requests] == ["/ok"]
    row = await engine.row("select attempt from rowcast.delivery")
    assert row["attempt"] == 1


@pytest.mark.parametrize(
    ("change", "what", "is_disabled"),
    [
        ("given_up", "changed_at = now()", True),
        ("given_up", "url = 'https://new.example.com/'", False),
        ("given_up", "failing_since = null", False),
        ("gone", "failing_since = null", True),
        ("gone", "url = 'https://new.example.com/'", False),
    ],
)
async def test_an_attempt_disables_only_the_endpoint_that_it_was_made_at(
    engine: Engine, change: Change, what: str, is_disabled: bool
) -> None:
    endpoint = await engine.endpoint("/ok", failing_since=engine.clock.now() - timedelta(days=6))
    read = (await engine.table.for_signing([("acme", endpoint)]))["acme", endpoint]
    await engine.run(f"update rowcast.endpoint set {what}")

    told = await EndpointHealth(database=engine.database).change("acme", read, change)

    assert (told, (await engine.state(endpoint))[0]) == (is_disabled, is_disabled)


def options_of(engine: Engine, **settings: object) -> SinkOptions:
    chosen = settings_for("postgresql://h/d", ("delivery",), **settings)
    return sink_options(chosen, engine.sink(), limits_of(engine.database, engine.clock).of)


async def test_webhooks_have_a_breaker_limits_and_more_time_than_their_posts(engine: Engine) -> None:
    options = options_of(engine, webhooks__timeout_s=60.0, delivery__timeout_s=5.0)

    assert options.timeout_s == 70.0
    assert options.breaker is not None
    assert options.limits is not None
    assert options.prepare is not None


async def test_a_message_whose_worker_was_lost_is_tried_as_often_as_its_endpoint_says(engine: Engine) -> None:
    endpoint = await engine.endpoint("/ok", retry_schedule_s=[1.0] * 20)
    await engine.owe(endpoint)
    await engine.run(
        "update rowcast.delivery set status = 'running', attempt = 12, leased_until = now() - interval '1 s'"
    )

    await run_until(engine, engine.sink(), delivered(engine), lost_attempts=options_of(engine).lost_attempts)

    rows = await engine.rows("select attempt, outcome from rowcast.attempt order by fence")
    assert [tuple(row.values()) for row in rows] == [(12, "lost"), (13, "delivered")]


async def test_a_database_that_is_away_after_the_post_changes_nothing_of_its_result(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*args: object) -> bool:
        raise StoreUnavailableError("away")

    endpoint, heard = await engine.endpoint("/ok", failing_since=engine.clock.now()), []
    monkeypatch.setattr("rowcast.webhooks.endpoint_health.EndpointHealth.change", away)

    with listening(lambda name, facts: heard.append((name, facts))):
        outcome = await engine.deliver(engine.sink(), endpoint)

    assert isinstance(outcome, Delivered)
    assert ("webhook.aftermath_lost", {"code": "store.unavailable"}) in heard
