"""Numbers of an endpoint, from rows of all kinds."""

from datetime import UTC, datetime, timedelta

from rowcast.store.pool import Database
from rowcast.webhooks.endpoint_stats import AttemptStats, EndpointStats, MessageStats
from tests.integration.webhooks.engine import Engine

NOON = datetime(2026, 6, 19, 12, 0, tzinfo=UTC)
ROWS = """
    with made as (
        insert into rowcast.delivery (tenant_id, sink, target, status, created_at, settled_at, replayed_at)
        select :tenant, 'webhooks', :target, status, :at::timestamptz, case when status in ('waiting', 'running') then null else :at end,
               case when status = 'dead' and place > 1 then :at end
        from unnest(array['delivered', 'waiting', 'running', 'dead', 'dead', 'cancelled']) with ordinality as each(status, place)
        returning id, status
    )
    insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, reason, started_at, latency_ms)
    select id, 1, :tenant, 1, case status when 'delivered' then 'delivered' when 'waiting' then 'retry' else 'rejected' end,
           case status when 'cancelled' then 'endpoint_disabled' else '' end, :at, 1
    from made where status <> 'running'
"""


async def test_what_was_replayed_counts_once_and_what_belongs_to_others_not_at_all(
    engine: Engine, database: Database
) -> None:
    endpoint = await engine.table.get("acme", await engine.endpoint())
    for tenant, target in (("acme", endpoint.id), ("acme", "ep_other"), ("beta", endpoint.id)):
        await engine.run(ROWS, tenant=tenant, target=target, at=NOON)

    messages = await EndpointStats().messages(database, endpoint, since=None, until=None)
    attempts = await EndpointStats().attempts(database, endpoint, since=None, until=None)

    # Both dead ones were replayed.
    assert messages == MessageStats(success=1, pending=1, sending=1, fail=0, canceled=1)
    assert attempts == AttemptStats(success=1, fail=3, canceled=1)


async def test_time_bounds_hold_to_the_moment_for_messages_and_to_the_hour_for_attempts(
    engine: Engine, database: Database
) -> None:
    endpoint = await engine.table.get("acme", await engine.endpoint())
    for at in (NOON - timedelta(minutes=1), NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=1)):
        await engine.run(ROWS, tenant="acme", target=endpoint.id, at=at)
    since, until = NOON + timedelta(minutes=30), NOON + timedelta(minutes=40)

    messages = await EndpointStats().messages(database, endpoint, since=NOON, until=NOON + timedelta(minutes=59))
    attempts = await EndpointStats().attempts(database, endpoint, since=since, until=until)
    whole = await EndpointStats().attempts(database, endpoint, since=NOON, until=NOON + timedelta(hours=1))

    assert messages == MessageStats(success=1, pending=1, sending=1, fail=0, canceled=1)
    assert attempts == whole == AttemptStats(success=2, fail=6, canceled=2)
