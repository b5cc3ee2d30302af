"""Applications over the webhook API."""

import asyncio
from datetime import datetime

import pytest

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

PATH = "/api/v1/app"


async def test_an_application_is_made_read_changed_and_removed(api: Running) -> None:
    headers = await api.key()

    made = await made_application(api, headers, uid="acme", throttleRate=7, metadata={"plan": "gold"})
    place = f"{PATH}/{made['id']}"
    patched = await api.client.patch(place, headers=headers, json={"uid": None, "throttleRate": None})
    put = await api.client.put(place, headers=headers, json={"name": "New", "rateLimit": 3})
    removed = await api.client.delete(place, headers=headers)

    assert made.keys() == {"id", "uid", "name", "throttleRate", "rateLimit", "metadata", "createdAt", "updatedAt"}
    assert (made["uid"], made["throttleRate"], made["rateLimit"], made["metadata"]) == ("acme", 7, 7, {"plan": "gold"})
    assert datetime.fromisoformat(made["createdAt"]).tzinfo is not None
    assert (patched.status_code, patched.json()["uid"], patched.json()["throttleRate"]) == (200, None, None)
    assert (patched.json()["name"], patched.json()["metadata"]) == ("Acme", {"plan": "gold"})
    assert (put.status_code, put.json()["name"], put.json()["throttleRate"], put.json()["metadata"]) == (
        200,
        "New",
        3,
        {},
    )
    assert (removed.status_code, removed.content) == (204, b"")
    assert_refused(await api.client.get(place, headers=headers), 404, "not_found")
    assert_refused(await api.client.delete(place, headers=headers), 404, "not_found")


async def test_get_if_exists_gives_what_is_there_and_makes_what_is_not(api: Running) -> None:
    headers, body = await api.key(), {"name": "Acme", "uid": "acme"}

    first = await api.client.post(f"{PATH}?get_if_exists=true", headers=headers, json=body)
    again = await api.client.post(f"{PATH}?get_if_exists=true", headers=headers, json={**body, "name": "Other"})
    taken = await api.client.post(PATH, headers=headers, json=body)
    nameless = await api.client.post(f"{PATH}?get_if_exists=true", headers=headers, json={"name": "No uid"})

    assert (first.status_code, again.status_code, nameless.status_code) == (201, 200, 201)
    assert again.json() == first.json()
    assert_refused(taken, 409, "conflict")


async def test_whoever_is_overtaken_while_looking_finds_what_the_other_made(api: Running) -> None:
    headers, body = await api.key(), {"name": "Acme"}
    calls = [
        lambda: api.client.post(f"{PATH}?get_if_exists=true", headers=headers, json={**body, "uid": "posted"}),
        lambda: api.client.put(f"{PATH}/put", headers=headers, json=body),
        lambda: api.client.put(f"{PATH}/put/endpoint/crm", headers=headers, json={"url": "https://crm.example.com/"}),
        lambda: api.client.put("/api/v1/event-type/paid", headers=headers, json={"description": "x"}),
    ]

    for call in calls:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            asked = [group.create_task(call()) for _ in range(8)]
        assert sorted(each.result().status_code for each in asked) == [200] * 7 + [201]


async def test_put_makes_an_application_under_the_uid_in_the_path(api: Running) -> None:
    headers = await api.key()

    made = await api.client.put(f"{PATH}/acme", headers=headers, json={"name": "Acme"})
    again = await api.client.put(f"{PATH}/acme", headers=headers, json={"name": "Again"})
    other = await api.client.put(f"{PATH}/acme", headers=headers, json={"name": "Again", "uid": "renamed"})

    assert (made.status_code, again.status_code, other.status_code) == (201, 200, 200)
    assert made.json()["id"] == again.json()["id"] == other.json()["id"]
    assert (again.json()["uid"], other.json()["uid"]) == ("acme", "renamed")
    assert_refused(await api.client.put(f"{PATH}/app_1", headers=headers, json={"name": "x"}), 404, "not_found")


async def test_pages_lead_forwards_and_back(api: Running) -> None:
    headers = await api.key()
    ids = [(await made_application(api, headers, name=str(number)))["id"] for number in range(5)]

    async def page(query: str) -> dict[str, object]:
        reply = await api.client.get(f"{PATH}?limit=2&{query}", headers=headers)
        assert reply.status_code == 200, reply.text
        value: dict[str, object] = {**reply.json(), "data": [each["id"] for each in reply.json()["data"]]}
        return value

    ids.sort()
    first = await page("")
    second = await page(f"iterator={first['iterator']}")
    third = await page(f"iterator={second['iterator']}")
    back = await page(f"iterator={third['prevIterator']}")

    assert [first["data"], second["data"], third["data"], back["data"]] == [ids[:2], ids[2:4], ids[4:], ids[2:4]]
    assert [first["done"], second["done"], third["done"]] == [False, False, True]
    assert first.keys() == {"data", "iterator", "prevIterator", "done"}
    assert (await page("order=descending"))["data"] == ids[:2:-1]
    assert (await page("order=ascending"))["data"] == ids[:2]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"), ({"name": ""}, "name"), ({"name": None}, "name"), ({"name": 5}, "name"),
        ({"name": "x" * 257}, "name"), ({"name": "x", "uid": "app_1"}, "uid"), ({"name": "x", "uid": "a b"}, "uid"),
        ({"name": "x", "uid": "ü"}, "uid"), ({"name": "x", "uid": "u" * 257}, "uid"), ({"name": "x", "uid": 5}, "uid"),
        ({"name": "x", "throttleRate": 0}, "throttleRate"), ({"name": "x", "throttleRate": 2**63}, "throttleRate"),
        ({"name": "x", "throttleRate": "5"}, "throttleRate"), ({"name": "x", "metadata": {"k": 1}}, "metadata"),
    ],
)  # fmt: skip
async def test_what_is_no_application_is_refused_by_its_field(api: Running, body: object, field: str) -> None:
    headers = await api.key()

    assert places_in(await api.client.post(PATH, headers=headers, json=body))[0][:2] == ["body", field]
    assert (await api.client.get(PATH, headers=headers)).json()["data"] == []


async def test_any_text_is_kept_as_it_was_sent_and_what_is_not_known_is_passed_over(api: Running) -> None:
    headers = await api.key()
    name, metadata = "Ä \N{COLLISION SYMBOL} '; drop --", {"": "\x01", "k" * 500: "\N{COLLISION SYMBOL}" * 100}

    made = await made_application(api, headers, name=name, metadata=metadata, colour="red", uid=None)

    assert (made["name"], made["metadata"], made["uid"]) == (name, metadata, None)
    assert (await api.client.get(f"{PATH}/{made['id']}", headers=headers)).json() == made
    assert places_in(await api.client.post(PATH, headers=headers, json={"name": "a\x00b"})) == [["body"]]


async def test_a_removed_application_stays_away_and_its_uid_is_free_again(api: Running) -> None:
    headers = await api.key()
    made = await made_application(api, headers, uid="acme")
    endpoint = {"url": "https://hooks.example.com/in", "tenantId": "acme"}
    assert (await api.client.post("/api/v1/endpoints", headers=headers, json=endpoint)).status_code == 201

    assert (await api.client.delete(f"{PATH}/acme", headers=headers)).status_code == 204
    listed = await api.client.get("/api/v1/endpoints?tenantId=acme", headers=headers)
    gone = await api.client.get(f"{PATH}/acme", headers=headers)
    again = await made_application(api, headers, uid="acme")

    assert listed.json()["data"] == []
    assert_refused(gone, 404, "not_found")
    assert again["id"] != made["id"]
