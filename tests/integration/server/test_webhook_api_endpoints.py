"""Endpoints over the webhook API."""

from typing import Any

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

PATH = "/api/v1/app/acme/endpoint"
URL = "https://hooks.example.com/in"
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({}, "url"),
    ({"url": "nonsense"}, "url"),
    ({"url": "https://169.254.169.254/"}, "url"),
    ({"url": URL, "uid": "ep_x"}, "uid"),
    ({"url": URL, "eventTypes": []}, "eventTypes"),
    ({"url": URL, "filterTypes": ["no type"]}, "eventTypes"),
    ({"url": URL, "channels": []}, "channels"),
    ({"url": URL, "channels": ["a b"]}, "channels"),
    ({"url": URL, "channels": ["a", "a"]}, "channels"),
    ({"url": URL, "throttleRate": 0}, "throttleRate"),
    ({"url": URL, "metadata": {"a": 1}}, "metadata"),
    ({"url": URL, "metadata": {str(number): "" for number in range(51)}}, "metadata"),
    ({"url": URL, "version": 0}, "version"),
    ({"url": URL, "secret": "short"}, "secret"),
    ({"url": URL, "description": "\x00"}, "description"),
    ({"url": URL, "retrySchedule": [-1]}, "retrySchedule"),
    ({"url": URL, "logLevel": "none"}, "logLevel"),
]


async def made_endpoint(api: Running, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    reply = await api.client.post(PATH, headers=headers, json={"url": URL, **fields})
    assert reply.status_code == 201, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_an_endpoint_is_found_by_id_and_uid_and_by_nobody_else(api: Running) -> None:
    headers, other = await api.key(), await api.key(tenant="other")
    await made_application(api, headers, uid="acme")
    await made_application(api, headers, uid="other")
    made = await made_endpoint(api, headers, uid="crm")

    for name in (made["id"], "crm"):
        assert (await api.client.get(f"{PATH}/{name}", headers=headers)).json() == made
        assert_refused(await api.client.get(f"{PATH}/{name}", headers=other), 404, "not_found")
        for method in ("GET", "PATCH", "DELETE"):
            foreign = await api.client.request(method, f"/api/v1/app/other/endpoint/{name}", headers=other, json={})
            assert_refused(foreign, 404, "not_found")
    removed = await api.client.delete(f"{PATH}/crm", headers=headers)

    assert (removed.status_code, removed.content) == (204, b"")
    assert_refused(await api.client.get(f"{PATH}/{made['id']}", headers=headers), 404, "not_found")


async def test_what_the_sdks_do_not_know_is_taken_shown_and_kept_by_a_put_of_theirs(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    own = {"isOrdered": True, "logLevel": "failures", "retrySchedule": [5.0, 60.0]}
    made = await made_endpoint(api, headers, uid="crm", channels=["eu"], signatureScheme="v1a", **own)

    put = await api.client.put(f"{PATH}/crm", headers=headers, json={"url": URL + "2"})
    patched = await api.client.patch(f"{PATH}/crm", headers=headers, json={"isOrdered": False, "retrySchedule": None})

    assert {name: made[name] for name in own} == own
    assert (made["signatureScheme"], made["channels"], made["failingSince"], made["disabledReason"]) == (
        "v1a", ["eu"], None, None,
    )  # fmt: skip
    assert {name: put.json()[name] for name in own} == own
    assert (put.json()["uid"], put.json()["channels"], put.json()["url"]) == ("crm", None, URL + "2")
    assert (patched.json()["isOrdered"], patched.json()["retrySchedule"], patched.json()["logLevel"]) == (
        False, None, "failures",
    )  # fmt: skip


async def test_older_and_newer_words_mean_the_same(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")

    older = await made_endpoint(api, headers, filterTypes=["orders.*"], rateLimit=3)
    newer = await made_endpoint(api, headers, eventTypes=["orders.*"], throttleRate=3)

    for made in (older, newer):
        assert made["eventTypes"] == made["filterTypes"] == ["orders.*"]
        assert made["throttleRate"] == made["rateLimit"] == 3


async def test_a_put_makes_an_endpoint_under_the_uid_in_the_path(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")

    made = await api.client.put(f"{PATH}/crm", headers=headers, json={"url": URL})
    again = await api.client.put(f"{PATH}/crm", headers=headers, json={"url": URL})
    unknown = await api.client.put(f"{PATH}/ep_1", headers=headers, json={"url": URL})
    unset = await api.client.put(f"{PATH}/crm", headers=headers, json={"url": URL, "uid": None})

    assert [reply.status_code for reply in (made, again, unset)] == [201, 200, 200]
    assert made.json()["id"] == again.json()["id"] == unset.json()["id"]
    assert (made.json()["uid"], unset.json()["uid"]) == ("crm", None)
    assert_refused(unknown, 404, "not_found")


async def test_what_cannot_be_kept_is_refused_with_its_place(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")

    for body, place in REFUSED:
        made = await api.client.post(PATH, headers=headers, json=body)
        put = await api.client.put(f"{PATH}/crm", headers=headers, json=body)
        assert [places_in(reply)[0][:2] for reply in (made, put)] == [["body", place]] * 2, body
    assert (await api.client.get(PATH, headers=headers)).json()["data"] == []
