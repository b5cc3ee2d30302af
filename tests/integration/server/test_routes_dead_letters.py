"""Dead letters over HTTP: grouped, replayed once, within one tenant."""

import uuid

import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.server.routes_dead_letters import ReplayRequest, chosen_letters
from tests.integration.server.rows import add_delivery
from tests.integration.server.running import Running, assert_problem

REPLAY = "/api/v1/dead-letters/replay"


async def test_dead_letters_are_grouped_by_what_went_wrong(api: Running) -> None:
    for error in ("http_503", "http_503", "timeout"):
        await add_delivery(api.app.database, error=error)
    await add_delivery(api.app.database, "other", error="http_503")

    groups = (await api.client.get("/api/v1/dead-letters", headers=await api.key(tenant="acme"))).json()["data"]

    assert {group["fingerprint"]: group["deliveries"] for group in groups} == {
        "webhooks:http_503": 2,
        "webhooks:timeout": 1,
    }


async def test_a_dead_letter_is_replayed_once(api: Running) -> None:
    number, headers = await add_delivery(api.app.database), await api.key(tenant="acme")

    first = await api.client.post(REPLAY, headers=headers, json={"ids": [number]})
    second = await api.client.post(REPLAY, headers=headers, json={"ids": [number]})

    assert (first.status_code, first.json(), second.json()) == (202, {"replayed": 1}, {"replayed": 0})


async def test_a_tenants_key_replays_nothing_of_another_tenant(api: Running) -> None:
    theirs, headers = await add_delivery(api.app.database, "other"), await api.key(tenant="acme")

    assert (await api.client.post(REPLAY, headers=headers, json={"ids": [theirs]})).json() == {"replayed": 0}
    assert (await api.client.post(REPLAY, headers=headers, json={"all": True})).json() == {"replayed": 0}
    assert_problem(
        await api.client.post(REPLAY, headers=headers, json={"all": True, "tenantId": "other"}), 404, "input.not_found"
    )


async def test_a_replay_that_names_nothing_is_refused(api: Running) -> None:
    headers = await api.key()

    assert_problem(await api.client.post(REPLAY, headers=headers, json={}), 400, "input.replay")
    assert_problem(await api.client.post(REPLAY, headers=headers, json={"ids": ["x"]}), 400, "input.invalid")
    assert_problem(await api.client.post(REPLAY, headers=headers, json={"id": [1]}), 400, "input.invalid")


async def test_an_event_is_delivered_again_on_its_legs(api: Running) -> None:
    number, headers = await add_delivery(api.app.database, status="delivered"), await api.key(tenant="acme")
    event_id = (await api.client.get(f"/api/v1/deliveries/{number}", headers=headers)).json()["eventId"]

    again = await api.client.post(f"/api/v1/events/{event_id}/replay", headers=headers, json={"sink": "webhooks"})
    other_leg = await api.client.post(f"/api/v1/events/{event_id}/replay", headers=headers, json={"sink": "jobs"})

    assert again.status_code == 202
    assert len(again.json()["deliveries"]) == 1
    assert other_leg.json() == {"deliveries": []}


async def test_an_event_of_another_tenant_is_replayed_no_more_than_one_that_never_was(api: Running) -> None:
    number, headers = await add_delivery(api.app.database, "other"), await api.key(tenant="acme")
    everywhere = await api.key()
    theirs = (await api.client.get(f"/api/v1/deliveries/{number}", headers=everywhere)).json()["eventId"]

    foreign = await api.client.post(f"/api/v1/events/{theirs}/replay", headers=headers, json={})
    absent = await api.client.post(f"/api/v1/events/{uuid.uuid4()}/replay", headers=headers, json={})

    assert (foreign.status_code, foreign.json()) == (absent.status_code, absent.json()) == (202, {"deliveries": []})


def test_all_is_said_in_so_many_words() -> None:
    assert chosen_letters(ReplayRequest(all=True), "acme").tenant_id == "acme"
    with pytest.raises(InvalidInputError):
        chosen_letters(ReplayRequest(tenant_id="acme"), "acme")
