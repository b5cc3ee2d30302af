"""Attempts over the webhook API."""

from typing import Any

import pytest_asyncio

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

APP = "/api/v1/app/acme"
SHOWN = {
    "id", "msgId", "endpointId", "url", "response", "responseStatusCode", "responseDurationMs", "status", "statusText",
    "triggerType", "timestamp", "msg", "attempt", "reason", "headers", "responseHeaders", "times",
}  # fmt: skip


class Sent:
    """One message that was posted twice: disabled the first time, answered the second."""

    def __init__(self, api: Running, headers: dict[str, str], message_id: str, endpoint_id: str) -> None:
        self.api, self.headers, self.message_id, self.endpoint_id = api, headers, message_id, endpoint_id

    async def get(self, path: str, **headers: str) -> Any:
        return await self.api.client.get(APP + path, headers=headers or self.headers)

    async def statuses(self, query: str) -> list[tuple[int, str]]:
        reply = await self.get(f"/attempt/endpoint/crm?{query}")
        assert reply.status_code == 200, reply.text
        return [(each["status"], each["statusText"]) for each in reply.json()["data"]]


@pytest_asyncio.fixture
async def sent(api: Running, sql: Any) -> Sent:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    endpoint = {"url": "https://hooks.example.com/in", "uid": "crm"}
    made = await api.client.post(f"{APP}/endpoint", headers=headers, json=endpoint)
    message = {"eventType": "orders.confirmed", "payload": {"a": 1}, "eventId": "e1"}
    written = await api.client.post(f"{APP}/msg", headers=headers, json=message)
    sql(
        """with owed as (
             insert into rowcast.delivery (tenant_id, event_id, sink, target, status)
             select 'acme', id, 'webhooks', %s, 'delivered' from rowcast.event returning id)
           insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, reason, code, detail, started_at,
                                        latency_ms)
           select id, fence, 'acme', fence, outcome, reason, code, detail::json, now(), 1.5 from owed, (values
             (1, 'rejected', 'endpoint_disabled', '', null),
             (2, 'delivered', '', '200', '{"url":"https://old.example/","requestHeaders":{"a":"b"},"totalMs":7,"body":"ok"}')
           ) as said (fence, outcome, reason, code, detail)""",
        [made.json()["id"]],
    )
    return Sent(api, headers, written.json()["id"], made.json()["id"])


async def test_an_attempt_is_shown_with_all_that_is_known_of_it(sent: Sent) -> None:
    newest, oldest = (await sent.get("/attempt/msg/e1?with_msg=true")).json()["data"]
    read = await sent.get(f"/msg/e1/attempt/{newest['id']}")

    assert newest.keys() == SHOWN
    assert (newest["url"], newest["response"], newest["headers"]) == ("https://old.example/", "ok", {"a": "b"})
    assert (newest["times"]["totalMs"], newest["attempt"], newest["responseDurationMs"]) == (7, 2, 2)
    assert (newest["msgId"], newest["endpointId"], newest["triggerType"]) == (sent.message_id, sent.endpoint_id, 0)
    assert newest["msg"]["payload"] == {"a": 1}
    assert (oldest["url"], oldest["status"], oldest["reason"]) == (
        "https://hooks.example.com/in", 4, "endpoint_disabled",
    )  # fmt: skip
    assert (oldest["times"], oldest["responseStatusCode"], oldest["response"]) == (None, 0, "")
    assert read.json() == {**newest, "msg": None}


async def test_a_canceled_attempt_is_a_success_for_who_knows_no_better(sent: Sent) -> None:
    good, canceled = (0, "success"), (4, "canceled")

    assert await sent.statuses("") == await sent.statuses("expanded_statuses=true") == [good, canceled]
    assert await sent.statuses("expanded_statuses=false") == [good, good]
    assert await sent.statuses("expanded_statuses=false&status=0") == [good, good]
    assert await sent.statuses("status=0") == [good]
    assert await sent.statuses("status=4") == [canceled]
    assert await sent.statuses("status_code_class=0") == [canceled]


async def test_attempts_are_narrowed_to_one_endpoint_by_its_id_or_uid(sent: Sent) -> None:
    found = [
        len((await sent.get(f"/attempt/msg/e1?endpoint_id={name}")).json()["data"])
        for name in ("crm", sent.endpoint_id, "ep_gone")
    ]

    assert found == [2, 2, 0]
    assert_refused(await sent.get("/attempt/msg/e1?endpoint_id=nobody"), 404)


async def test_pages_of_attempts_and_destinations_lead_both_ways(sent: Sent) -> None:
    first = (await sent.get("/attempt/endpoint/crm?limit=1")).json()
    second = (await sent.get(f"/attempt/endpoint/crm?limit=1&iterator={first['iterator']}")).json()
    back = (await sent.get(f"/attempt/endpoint/crm?limit=1&iterator={second['prevIterator']}")).json()
    destinations = (await sent.get("/msg/e1/endpoint")).json()
    beyond = (await sent.get(f"/msg/e1/endpoint?iterator={destinations['iterator']}")).json()
    messages = (await sent.get("/endpoint/crm/msg")).json()

    assert [first["done"], second["done"]] == [False, True]
    assert back["data"] == first["data"] != second["data"]
    assert [each["id"] for each in destinations["data"]] == [sent.endpoint_id]
    assert beyond["data"] == []
    assert [(each["id"], each["statusText"], each["nextAttempt"]) for each in messages["data"]] == [
        (sent.message_id, "success", None),
    ]  # fmt: skip


async def test_what_cannot_be_asked_is_refused_by_its_field(sent: Sent) -> None:
    for query, field in (
        ("status=5", "status"), ("status=x", "status"), ("status_code_class=250", "status_code_class"),
        ("iterator=atmpt_x", "iterator"), ("iterator=msg_x", "iterator"), ("before=x", "before"), ("limit=251", "limit"),
        ("channel=a%00", "channel"),
    ):  # fmt: skip
        for path in ("/attempt/endpoint/crm", "/attempt/msg/e1"):
            assert places_in(await sent.get(f"{path}?{query}")) == [["query", field]], query


async def test_another_tenant_finds_nothing_and_a_scope_is_asked_for(sent: Sent) -> None:
    other = await sent.api.key(tenant="beta")
    attempt = (await sent.get("/attempt/msg/e1")).json()["data"][0]["id"]
    resend = f"{APP}/msg/e1/endpoint/crm/resend"

    for path in ("/attempt/endpoint/crm", "/attempt/msg/e1", f"/msg/e1/attempt/{attempt}", "/endpoint/crm/msg"):
        assert_refused(await sent.get(path, **other), 404)
        assert_refused(await sent.get(path, **await sent.api.key("events:read")), 403)
    assert_refused(await sent.api.client.post(resend, headers=other), 404)
    content = f"{APP}/msg/e1/attempt/{attempt}/content"
    assert_refused(await sent.api.client.delete(content, headers=other), 404)
    assert (await sent.get(f"/msg/e1/attempt/{attempt}")).json()["response"] == "ok"


async def test_a_message_is_sent_again_once_for_one_idempotency_key(sent: Sent, sql: Any) -> None:
    resend = f"{APP}/msg/e1/endpoint/crm/resend"
    again = {**sent.headers, "idempotency-key": "k1"}

    answers = [await sent.api.client.post(resend, headers=again) for _ in range(2)]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(202, {})] * 2
    assert sql("select status, replay_of is not null from rowcast.delivery order by id desc limit 1") == [
        ("waiting", True)
    ]
    assert sql("select count(*) from rowcast.delivery") == [(2,)]
    assert_refused(await sent.api.client.post(f"{APP}/msg/e1/endpoint/nobody/resend", headers=sent.headers), 404)
    assert_refused(await sent.api.client.post(f"{APP}/msg/nothing/endpoint/crm/resend", headers=sent.headers), 404)
