"""Messages over the webhook API."""

import asyncio
from typing import Any

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

PATH = "/api/v1/app/acme/msg"
PLAIN = {"eventType": "orders.confirmed", "payload": {"id": "o1"}}


async def sent(api: Running, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    reply = await api.client.post(PATH, headers=headers, json={**PLAIN, **fields})
    assert reply.status_code == 202, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_a_message_is_sent_and_read_by_both_of_its_names(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")

    text = (
        '{"eventType":"orders.confirmed","eventId":"e1","payload":{"b": 1.50,  "a":[]},"channels":["x"],"tags":["vip"]}'
    )
    made = await api.client.post(PATH, headers=headers, content=text)
    bare = await api.client.post(f"{PATH}?with_content=false", headers=headers, json=PLAIN)
    reads = [await api.client.get(f"{PATH}/{name}", headers=headers) for name in (made.json()["id"], "e1")]

    assert (made.status_code, bare.status_code) == (202, 202)
    assert made.json().keys() == {
        "id", "eventId", "eventType", "payload", "channels", "tags", "timestamp", "deliverAt",
    }  # fmt: skip
    assert '"payload":{"b": 1.50,  "a":[]}' in made.text
    assert [read.content for read in reads] == [made.content] * 2
    assert (bare.json()["payload"], bare.json()["eventId"], bare.json()["channels"]) == ({}, None, None)
    assert (await api.client.get(f"{PATH}/e1?with_content=false", headers=headers)).json()["payload"] == {}


async def test_an_event_id_is_taken_once_and_a_retry_of_the_same_request_is_no_second_message(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    again = {**headers, "idempotency-key": "k1"}

    answers = [await api.client.post(PATH, headers=again, json={**PLAIN, "eventId": "e1"}) for _ in range(2)]

    assert answers[0].content == answers[1].content
    assert_refused(await api.client.post(PATH, headers=headers, json={**PLAIN, "eventId": "e1"}), 409, "conflict")
    assert len((await api.client.get(PATH, headers=headers)).json()["data"]) == 1


async def test_a_message_makes_the_application_that_it_describes(api: Running) -> None:
    headers, body = await api.key(), {**PLAIN, "application": {"name": "New", "uid": "acme"}}
    bound, weak = await api.key(tenant="acme"), await api.key("events:write")

    assert_refused(await api.client.post(PATH, headers=headers, json=PLAIN), 404)
    assert_refused(await api.client.post(PATH, headers=bound, json=body), 404)
    assert_refused(await api.client.post(PATH, headers=weak, json=body), 403)
    other = {**body, "application": {"name": "New", "uid": "other"}}
    assert places_in(await api.client.post(PATH, headers=headers, json=other)) == [["body", "application", "uid"]]
    wrong = {**body, "channels": ["a b"]}
    assert places_in(await api.client.post(PATH, headers=headers, json=wrong)) == [["body", "channels"]]
    assert (await api.client.get("/api/v1/app", headers=headers)).json()["data"] == []

    await sent(api, headers, application={"name": "New", "uid": "acme"})
    await sent(api, headers, application={"name": "Passed over"})

    (made,) = (await api.client.get("/api/v1/app", headers=headers)).json()["data"]
    assert (made["name"], made["uid"]) == ("New", "acme")
    assert len((await api.client.get(PATH, headers=bound)).json()["data"]) == 2


async def test_a_payload_that_does_not_fit_its_type_writes_nothing(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
    kind = {"name": "orders.confirmed", "description": "", "schemas": {"1": schema}}
    assert (await api.client.post("/api/v1/event-type", headers=headers, json=kind)).status_code == 201

    refused = await api.client.post(PATH, headers=headers, json={**PLAIN, "payload": {"id": 5}})

    assert_refused(refused, 422, "input.payload")
    assert places_in(refused) == [["body", "payload"]]
    await sent(api, headers)
    assert len((await api.client.get(PATH, headers=headers)).json()["data"]) == 1


async def test_what_is_no_message_is_refused_by_its_field(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    refused = {
        "eventType": [{}, {**PLAIN, "eventType": "a b"}],
        "payload": [{"eventType": "a"}, {**PLAIN, "payload": [1]}, {**PLAIN, "payload": {"a": "\x00"}}],
        "eventId": [{**PLAIN, "eventId": "msg_1"}],
        "payloadRetentionPeriod": [{**PLAIN, "payloadRetentionPeriod": 1}],
    }

    for field, bodies in refused.items():
        for body in bodies:
            reply = await api.client.post(PATH, headers=headers, json=body)
            assert places_in(reply)[0] == ["body", field], body
    for size in (65_537, 300_000):
        body = {**PLAIN, "payload": {"a": "x" * size}}
        assert_refused(await api.client.post(PATH, headers=headers, json=body), 413, "payload_too_large")
    assert (await api.client.get(PATH, headers=headers)).json()["data"] == []


async def test_lists_are_narrowed_by_everything_that_clients_ask(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    first = await sent(api, headers, channels=["a"], tags=["vip"])
    second = await sent(api, headers, eventType="Other")
    third = await sent(api, headers, channels=["a", "b"])

    async def found(query: str) -> list[str]:
        reply = await api.client.get(f"{PATH}?{query}", headers=headers)
        assert reply.status_code == 200, reply.text
        return [each["id"] for each in reply.json()["data"]]

    ids = [each["id"] for each in (first, second, third)]
    assert await found("") == ids[::-1]
    assert await found("order=ascending") == ids
    for query in ("event_types=Other,none", "event_types[]=Other", "event_types[0]=none&event_types[1]=Other"):
        assert await found(query) == [ids[1]]
    assert await found("channel=a") == [ids[2], ids[0]]
    assert await found("tag=vip&channel=a") == [ids[0]]
    assert await found(f"before={third['timestamp']}&after={first['timestamp']}".replace("+", "%2B")) == [ids[1]]
    assert await found(f"limit=1&iterator={ids[2]}") == [ids[1]]
    assert await found(f"limit=1&iterator=-{ids[0]}") == [ids[1]]
    assert places_in(await api.client.get(f"{PATH}?iterator=msg_x", headers=headers)) == [["query", "iterator"]]
    assert places_in(await api.client.get(f"{PATH}?before=x", headers=headers)) == [["query", "before"]]
    assert places_in(await api.client.get(f"{PATH}?tag=a%00", headers=headers)) == [["query", "tag"]]


async def test_a_key_of_one_tenant_sees_and_sends_nothing_of_another(api: Running) -> None:
    headers, bound = await api.key(), await api.key(tenant="beta")
    await made_application(api, headers, uid="acme")
    made = await sent(api, headers)

    for path in (PATH, f"{PATH}/{made['id']}"):
        assert_refused(await api.client.get(path, headers=bound), 404)
    assert_refused(await api.client.post(PATH, headers=bound, json=PLAIN), 404)
    assert_refused(await api.client.get(PATH, headers=await api.key("endpoints:read")), 403)


async def test_messages_that_are_sent_at_once_all_come_in(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(sent(api, headers, eventId=f"e{number}")) for number in range(20)]

    listed = (await api.client.get(PATH, headers=headers)).json()["data"]
    assert {each["id"] for each in listed} == {task.result()["id"] for task in tasks}


async def test_it_is_told_whether_anybody_would_get_a_message(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    endpoints = [{"channels": ["eu"]}, {"eventTypes": ["Other"]}, {"eventTypes": ["off"], "disabled": True}]
    for endpoint in endpoints:
        made = {"url": "https://hooks.example.com/in", **endpoint}
        assert (await api.client.post("/api/v1/app/acme/endpoint", headers=headers, json=made)).status_code == 201

    async def is_active(**asked: Any) -> Any:
        reply = await api.client.post(f"{PATH}/precheck/active", headers=headers, json=asked)
        return reply.json().get("active") if reply.status_code == 200 else reply.status_code

    assert await is_active(eventType="orders.confirmed") is False
    assert await is_active(eventType="orders.confirmed", channels=["eu", "us"]) is True
    assert await is_active(eventType="Other") is True
    assert await is_active(eventType="off") is False
    assert await is_active(eventType="a b") == await is_active() == 422
    assert (await api.client.get(PATH, headers=headers)).json()["data"] == []
