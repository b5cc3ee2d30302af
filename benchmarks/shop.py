"""The pack that benchmarks load: twenty rules, of which one fits an event, and a task that does nothing."""

from rowcast import Pack, rule, task

RULES = 20
FILL = """
insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
select rowcast.uuid7(), 'tenant-' || (n % 10), 'orders', (n % 1000)::text, 'orders.confirmed', clock_timestamp(),
       json_build_object('kind', n % $2::integer, 'body', $3::text)
from generate_series(1, $1::integer) as n
"""
"""Writes events in bulk: how many, of how many kinds (kinds from 20 on are owed to nobody), and a text to carry."""


@task("shop.nothing")
async def nothing(event: object) -> None:
    """Do nothing: what is measured is the way there."""


pack = Pack(
    name="benchmark_shop",
    tasks=(nothing,),
    rules=tuple(
        rule(
            f"shop.kind_{kind}", "orders.*", sink="jobs", target="shop.nothing",
            when={"==": [{"var": "payload.kind"}, kind]},
        )
        for kind in range(RULES)
    ),
)  # fmt: skip
