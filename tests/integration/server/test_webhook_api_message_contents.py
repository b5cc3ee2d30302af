"""Removing what messages held, over the webhook API."""

from typing import Any

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

PATH = "/api/v1/app/acme/msg"


async def sent(api: Running, headers: dict[str, str], app_id: str = "acme", **fields: Any) -> str:
    body = {"eventType": "orders.confirmed", "payload": {"card": "canary"}, **fields}
    reply = await api.client.post(f"/api/v1/app/{app_id}/msg", headers=headers, json=body)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


async def test_a_message_is_emptied_by_either_of_its_names_as_often_as_is_asked(api: Running, sql: Any) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    ids = [await sent(api, headers, eventId="e1"), await sent(api, headers)]

    answers = [await api.client.delete(f"{PATH}/{name}/content", headers=headers) for name in ("e1", "e1", ids[1])]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 3
    listed = (await api.client.get(PATH, headers=headers)).json()["data"]
    assert [(each["id"], each["payload"]) for each in listed] == [(each, {"expired": True}) for each in ids[::-1]]
    assert sql("select count(*) from rowcast.event where payload::text like '%canary%'") == [(0,)]
    assert_refused(await api.client.delete(f"{PATH}/nobody/content", headers=headers), 404)


async def test_several_are_emptied_at_once_and_it_is_said_which_are_not_there(api: Running) -> None:
    headers = await api.key()
    for uid in ("acme", "beta"):
        await made_application(api, headers, uid=uid)
    first, second = await sent(api, headers, eventId="e1"), await sent(api, headers)
    foreign, kept = await sent(api, headers, "beta"), await sent(api, headers)

    reply = await api.client.post(
        f"{PATH}/bulk-expunge", headers=headers, json={"ids": ["e1", second, foreign, "nobody", "e1"]}
    )
    nothing = await api.client.post(f"{PATH}/bulk-expunge", headers=headers, json={})

    assert reply.json() == {
        "results": {"e1": "expunged", second: "expunged", foreign: "not-found", "nobody": "not-found"},
    }  # fmt: skip
    assert (reply.status_code, nothing.status_code, nothing.json()) == (200, 200, {"results": {}})
    listed = {each["id"]: each["payload"] for each in (await api.client.get(PATH, headers=headers)).json()["data"]}
    assert listed == {first: {"expired": True}, second: {"expired": True}, kept: {"card": "canary"}}
    untouched = await api.client.get(f"/api/v1/app/beta/msg/{foreign}", headers=headers)
    assert untouched.json()["payload"] == {"card": "canary"}
    for ids in (["a"] * 251, [5], [""], ["a\x00"], "a"):
        refused = await api.client.post(f"{PATH}/bulk-expunge", headers=headers, json={"ids": ids})
        assert places_in(refused)[0][:2] == ["body", "ids"], ids


async def test_emptying_all_is_a_task_of_that_application(api: Running, sql: Any) -> None:
    headers, other = await api.key(), await api.key(tenant="beta")
    await made_application(api, headers, uid="acme")
    again = {**headers, "idempotency-key": "k1"}

    answers = [await api.client.post(f"{PATH}/expunge-all-contents", headers=again) for _ in range(2)]

    task = answers[0].json()
    assert answers[0].status_code == answers[1].status_code == 202
    assert answers[1].json() == task
    assert (task["status"], task["task"], task["data"]) == (
        "running",
        "application.purge_content",
        {"messagesPurged": 0},
    )
    assert sql("select tenant_id, endpoint_id from rowcast.background_task") == [("acme", "")]
    listed = await api.client.get("/api/v1/background-task?task=application.purge_content", headers=headers)
    assert [each["id"] for each in listed.json()["data"]] == [task["id"]]
    assert_refused(await api.client.post(f"{PATH}/expunge-all-contents", headers=other), 404)


async def test_who_may_only_look_removes_nothing(api: Running) -> None:
    headers, reader = await api.key(), await api.key("events:read")
    await made_application(api, headers, uid="acme")
    await sent(api, headers, eventId="e1")

    for method, path in (("DELETE", "/e1/content"), ("POST", "/bulk-expunge"), ("POST", "/expunge-all-contents")):
        assert_refused(await api.client.request(method, PATH + path, headers=reader, json={"ids": ["e1"]}), 403)
    assert (await api.client.get(f"{PATH}/e1", headers=headers)).json()["payload"] == {"card": "canary"}
