"""Rates by endpoint and tenant, and what an endpoint that asks for less is spared."""

from typing import Any

from rowcast.core.delivery import Delivery
from rowcast.delivery.ledger import Hold
from rowcast.delivery.rate_limit import Limits
from rowcast.egress.reply import Reply, Timings
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.endpoint_limits import EndpointLimits
from tests.integration.egress.receivers import answer
from tests.integration.webhooks.engine import Engine, limits_of


async def test_rates_are_the_endpoints_own_at_most_the_tenants_else_the_default(engine: Engine) -> None:
    endpoints = [
        await engine.endpoint("/ok", throttle_rate=2),
        # The tenant's own users may change it: it does not lift what the operator has said of the tenant.
        await engine.endpoint("/ok", throttle_rate=1_000_000),
        await engine.endpoint("/ok"),
        await engine.endpoint("/ok", tenant_id="beta"),
    ]
    await engine.run(
        "insert into rowcast.application (tenant_id, id, name, throttle_rate) values ('acme', 'app_1', 'Acme', 3)"
    )
    default = Limits(rate_per_minute=100, burst=100, concurrency=25)
    limits = limits_of(engine.database, engine.clock, default)
    for endpoint, tenant_id in zip(endpoints, ("acme", "acme", "acme", "beta"), strict=True):
        await engine.owe(endpoint, tenant_id=tenant_id)
    claimed = sorted((await engine.ledger.claim("webhooks", 4)).deliveries, key=lambda each: each.id)

    found = await limits.of(claimed)

    assert found == [Limits(120, 2, 25), Limits(180, 3, 25), Limits(180, 3, 25), default]


async def test_an_endpoint_that_asks_for_less_is_slowed_and_no_other(engine: Engine) -> None:
    engine.receiver.answers["/busy"] = [answer("429 Slow", b"", "Retry-After: 120")]
    busy, fine = await engine.endpoint("/busy"), await engine.endpoint("/ok")
    limits = limits_of(engine.database, engine.clock)
    sink = engine.sink(limits=limits)

    outcome = await engine.deliver(sink, busy)
    await engine.deliver(sink, fine)
    await engine.owe(busy, fine)
    claimed = sorted((await engine.ledger.claim("webhooks", 2)).deliveries, key=lambda each: each.id)

    assert outcome.after_s == 120.0
    assert [each.rate_per_minute for each in await limits.of(claimed)] == [50, 100]
    assert [each.concurrency for each in await limits.of(claimed)] == [1, 0]


async def test_what_is_owed_to_one_that_is_gone_or_disabled_is_held_up_by_no_limit(engine: Engine) -> None:
    disabled = await engine.endpoint("/ok", disabled=True, throttle_rate=1)
    await engine.owe(disabled, "ep_gone")
    claimed = (await engine.ledger.claim("webhooks", 2)).deliveries

    found = await limits_of(engine.database, engine.clock).of(claimed)

    assert all(limits.is_open for limits in found)


async def _in_line(engine: Engine, endpoint: str, limits: EndpointLimits) -> Delivery:
    """Put one delivery far back in the line, and claim another one."""
    await engine.owe(endpoint)
    claimed = (await engine.ledger.claim("webhooks", 1)).deliveries
    await limits.of(claimed)
    await engine.ledger.put_back([Hold(claimed[0], 900.0, "rate_limit")])
    await engine.run(
        "insert into rowcast.rate_limit (tenant_id, key, arrives_at, queued_until)"
        " values ('acme', 'webhooks ' || :endpoint::text, now(), now() + interval '15 minutes')",
        endpoint=endpoint,
    )
    await engine.owe(endpoint)
    return (await engine.ledger.claim("webhooks", 1)).deliveries[0]


async def _line(engine: Engine) -> tuple[Any, ...]:
    row = await engine.row(
        "select d.due_at <= clock_timestamp() as is_due, r.queued_until <= now() as is_short"
        " from rowcast.delivery d, rowcast.rate_limit r where d.held = 'rate_limit'"
    )
    return tuple(row.values())


async def test_what_waits_for_a_slowdown_that_is_over_waits_no_longer(engine: Engine) -> None:
    clock, endpoint = FakeClock(), await engine.endpoint("/ok")
    limits = limits_of(engine.database, clock)
    limits.learn(("acme", endpoint), Reply(429, {}, b"", Timings()), asked_s=None)
    newcomer = await _in_line(engine, endpoint, limits)

    clock.tick(59.0)
    await limits.of([newcomer])
    assert await _line(engine) == (False, False)
    clock.tick(2.0)
    (found,) = await limits.of([newcomer])

    assert found.rate_per_minute == 100
    assert await _line(engine) == (True, True)


async def test_what_waits_for_a_rate_that_was_raised_waits_no_longer(engine: Engine) -> None:
    clock, endpoint = FakeClock(), await engine.endpoint("/ok", throttle_rate=2)
    limits = limits_of(engine.database, clock)
    newcomer = await _in_line(engine, endpoint, limits)

    for rate, line in ((1, (False, False)), (3, (True, True))):
        await engine.run("update rowcast.endpoint set throttle_rate = :rate", rate=rate)
        clock.tick(3.0)
        await limits.of([newcomer])
        assert await _line(engine) == line
