"""What is told to whoever looks after all endpoints."""

from tests.integration.egress.receivers import answer
from tests.integration.webhooks.engine import Engine, run_until


async def test_messages_that_fail_recover_and_are_given_up_are_told_to_whoever_looks_after_them(engine: Engine) -> None:
    endpoint = await engine.endpoint("/turns", retry_schedule_s=[0.01] * 4)
    engine.receiver.answers["/turns"] = [*[answer("503 Busy")] * 4, answer(), answer("503 Busy")]
    sink = engine.sink(operational_tenant="ops")

    async def settled(count: int) -> bool:
        row = await engine.row("select count(*) as n from rowcast.delivery where settled_at is not null")
        return bool(row["n"] == count)

    await engine.owe(endpoint)
    await run_until(engine, sink, lambda: settled(1))
    await engine.owe(endpoint)
    await run_until(engine, sink, lambda: settled(2))

    told = await engine.events("ops")
    assert [event_type for event_type, _ in told] == [
        "message.attempt.failing",
        "message.attempt.recovered",
        "message.attempt.failing",
        "message.attempt.exhausted",
    ]
    assert [payload["attempt"] for _, payload in told] == [4, 5, 4, 5]
    assert told[3][1]["lastAttempt"]["responseStatusCode"] == 503
    assert told[3][1]["msgId"].startswith("msg_")


async def test_what_happens_to_the_endpoints_of_whoever_looks_after_them_makes_no_events(engine: Engine) -> None:
    endpoint = await engine.endpoint("/broken", tenant_id="ops", retry_schedule_s=[])

    await engine.deliver(engine.sink(operational_tenant="ops"), endpoint, "ops")

    assert [event_type for event_type, _ in await engine.events("ops")] == ["orders.confirmed"]
