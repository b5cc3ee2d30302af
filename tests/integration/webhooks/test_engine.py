"""The delivery engine as a whole: real rows, real receivers, many of them at once."""

import asyncio
import json
import uuid

import msgspec

from rowcast.core.delivery import Owed, ordered_key
from rowcast.core.envelope import Envelope
from rowcast.delivery.breaker import BreakerPolicy
from rowcast.delivery.dead_letter import DeadLetters, Leg
from rowcast.delivery.ledger import Ledger, owed_columns
from rowcast.delivery.rate_limit import Limits, spacing_us
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.sealing import seal_context
from tests.integration.egress.receivers import answer
from tests.integration.webhooks.engine import OWE, RING, WITHIN_S, Engine, limits_of, run_until


async def test_what_is_owed_to_a_disabled_endpoint_is_recorded_as_cancelled_and_can_be_replayed(engine: Engine) -> None:
    endpoint, sink = await engine.endpoint("/ok", disabled=True), engine.sink()
    await engine.owe(endpoint, count=3)

    async def are_cancelled() -> bool:
        rows = await engine.rows("select status from rowcast.delivery")
        return {row["status"] for row in rows} == {"cancelled"}

    await run_until(engine, sink, are_cancelled)

    rows = await engine.rows("select outcome, reason from rowcast.attempt")
    assert [tuple(row.values()) for row in rows] == [("rejected", "endpoint_disabled")] * 3
    assert engine.receiver.requests == []

    await engine.run("update rowcast.endpoint set disabled = false")
    (event,) = await engine.rows("select id from rowcast.event")
    replayed = await DeadLetters(database=engine.database).replay_event(event["id"], leg=Leg(target=endpoint))

    async def is_delivered() -> bool:
        row = await engine.row("select max(status) as status from rowcast.delivery where replay_of is not null")
        return bool(row["status"] == "delivered")

    await run_until(engine, sink, is_delivered)
    assert (len(replayed), len(engine.receiver.requests)) == (1, 1)


async def test_an_attempt_shows_what_it_was_and_nothing_that_is_secret(engine: Engine) -> None:
    endpoint = await engine.endpoint("/ok")
    context = seal_context("endpoint_headers", endpoint)
    sealed = RING.seal(b'{"x-key":"canary","Authorization":"canary"}', context=context)
    await engine.run("update rowcast.endpoint set headers = :value where id = :id", value=sealed, id=endpoint)

    outcome = await engine.deliver(engine.sink(), endpoint)

    (_, headers, _) = engine.receiver.requests[0]
    detail = json.loads(outcome.detail)
    assert (headers["x-key"], headers["Authorization"]) == ("canary", "canary")
    assert "canary" not in outcome.detail
    assert detail["requestHeaders"]["webhook-id"] == headers["webhook-id"]
    assert (detail["requestHeaders"]["x-key"], detail["body"]) == ("***", "ok")
    assert 0 < detail["connectMs"] <= detail["firstByteMs"] <= detail["totalMs"]


async def test_an_endpoint_that_keeps_failures_only_keeps_nothing_of_a_success(engine: Engine) -> None:
    quiet, sink = await engine.endpoint("/turns", log_level="failures"), engine.sink()
    engine.receiver.answers["/turns"] = [answer(), answer("500 Oops", b"why")]

    success, failure = [await engine.deliver(sink, quiet) for _ in range(2)]

    assert (success.detail, success.excerpt) == (None, "")
    assert json.loads(failure.detail)["body"] == "why"


async def test_one_endpoint_with_ten_thousand_queued_never_holds_up_the_others(engine: Engine) -> None:
    dead = await engine.endpoint("/hangs")
    neighbours = [await engine.endpoint("/ok"), await engine.endpoint("/ok", tenant_id="beta")]
    await engine.owe(dead, count=10_000)
    await engine.owe(neighbours[0], count=20)
    await engine.owe(neighbours[1], tenant_id="beta", count=20)
    limits = limits_of(engine.database, engine.clock, Limits(rate_per_minute=100, burst=100, concurrency=8))

    async def neighbours_are_served() -> bool:
        row = await engine.row("select count(*) as n from rowcast.delivery where status = 'delivered'")
        return bool(row["n"] == 40)

    await run_until(
        engine,
        engine.sink(limits=limits),
        neighbours_are_served,
        concurrency=16,
        limits=limits.of,
        breaker=BreakerPolicy(),
    )

    # Its own limits held all the while: never more at once than its burst allows, and nobody else was tried twice.
    hung = engine.receiver.paths()["/hangs"]
    assert 1 <= hung <= 20 + WITHIN_S * 100 / 60
    assert engine.receiver.paths()["/ok"] == 40
    row = await engine.row("select count(*) as n from rowcast.delivery where target = :id", id=dead)
    assert row["n"] == 10_000


async def test_rate_of_an_endpoint_is_exact_over_two_workers(engine: Engine) -> None:
    endpoint = await engine.endpoint("/ok", throttle_rate=10)
    await engine.owe(endpoint, count=60)
    limits = limits_of(engine.database, engine.clock)
    other = Engine(engine.database, engine.client, 0, engine.receiver)
    other.ledger, other.table = Ledger(database=engine.database, worker="w2"), engine.table

    async def are_enough() -> bool:
        row = await engine.row("select count(*) as n from rowcast.delivery where status = 'delivered'")
        return bool(row["n"] >= 25)

    async with asyncio.TaskGroup() as group:
        for each in (engine, other):
            group.create_task(run_until(each, engine.sink(limits=limits), are_enough, limits=limits.of))

    row = await engine.row(
        """select count(*) as permits, extract(epoch from max(settled_at) - min(claimed_at))::float8 * 1000000 as us
           from rowcast.delivery where status = 'delivered'"""
    )
    permitted = Limits(rate_per_minute=600, burst=10)
    assert row["us"] >= (row["permits"] - permitted.burst) * spacing_us(permitted)


async def test_what_is_owed_to_an_ordered_endpoint_is_kept_in_order_whichever_rule_names_it(engine: Engine) -> None:
    ordered, plain = await engine.endpoint(is_ordered=True), await engine.endpoint()
    at = engine.clock.now()
    event = Envelope(uuid.uuid4(), "acme", "order", "o1", "orders.confirmed", 1, at, msgspec.Raw(b"{}"))

    answers = await engine.sink().targets([(event, Owed("webhooks", "*")), (event, Owed("webhooks", ordered, key="x"))])

    assert {(owed.target, owed.key) for owed in answers[0]} == {(ordered, ordered_key(ordered)), (plain, plain)}
    assert [owed.key for owed in answers[1]] == [ordered_key(ordered)]


async def test_ordered_endpoint_gets_its_messages_in_order_while_one_of_them_is_tried_again(engine: Engine) -> None:
    endpoint = await engine.endpoint("/turns", is_ordered=True, retry_schedule_s=[0.05] * 5)
    engine.receiver.answers["/turns"] = [answer("500 Oops"), answer("500 Oops"), answer()]
    sink = engine.sink()
    events = [await engine.row("select rowcast.emit('acme', 'orders.confirmed', '{}'::jsonb) as id") for _ in range(10)]
    owed = [Owed("webhooks", endpoint, key=ordered_key(endpoint)) for _ in events]
    rows = [(event["id"], "acme", each) for event, each in zip(events, owed, strict=True)]
    await engine.database.execute(OWE, **owed_columns(rows))

    async def are_delivered() -> bool:
        found = await engine.rows("select status from rowcast.delivery")
        return {row["status"] for row in found} == {"delivered"}

    await run_until(engine, sink, are_delivered)

    ids = [headers["webhook-id"] for _, headers, _ in engine.receiver.requests]
    firsts = list(dict.fromkeys(ids))
    assert ids[:3] == [firsts[0]] * 3
    assert ids[3:] == firsts[1:]
    assert firsts == [message_id(event["id"]) for event in events]
