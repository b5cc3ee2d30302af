"""Endpoints that fail, are healed, and are given up."""

import pytest

from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Rejected
from rowcast.core.telemetry import listening
from rowcast.webhooks.endpoint_draft import EndpointDraft
from tests.integration.egress.receivers import answer
from tests.integration.webhooks.engine import Engine


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
