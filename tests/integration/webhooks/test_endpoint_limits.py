"""Rates by endpoint and tenant, and what an endpoint that asks for less is spared."""

from rowcast.delivery.rate_limit import Limits
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
