"""Sources over HTTP: their life, their secrets, and nothing of another tenant."""

from typing import Any

import pytest

from tests.integration.server.running import Running, assert_problem

PATH = "/api/v1/sources"
SECRET = "whsec_a_secret_that_stripe_made"


async def made(api: Running, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    body = {"name": "stripe", "scheme": "stripe", "secrets": [SECRET], **more}
    reply = await api.client.post(PATH, headers=headers, json=body)
    assert reply.status_code == 201, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_a_source_is_made_listed_read_changed_and_removed(api: Running) -> None:
    headers = await api.key(tenant="acme")

    source = await made(api, headers)
    place = f"{PATH}/{source['id']}"
    listed = (await api.client.get(PATH, headers=headers)).json()["data"]
    change = {"isDisabled": True, "options": {"keptHeaders": ["X-A"]}}
    changed = (await api.client.put(place, headers=headers, json=change)).json()
    read = (await api.client.get(place, headers=headers)).json()
    removed = await api.client.delete(place, headers=headers)

    assert (source["path"], source["secrets"], source["options"]) == (f"/in/{source['id']}", [SECRET], {})
    assert [item["id"] for item in listed] == [source["id"]]
    assert (changed["isDisabled"], changed["options"], changed["activeSecrets"]) == (True, {"keptHeaders": ["X-A"]}, 1)
    assert read == changed
    assert (removed.status_code, removed.content) == (204, b"")
    assert_problem(await api.client.get(place, headers=headers), 404, "input.not_found")


async def test_secrets_are_in_the_answer_that_makes_them_and_in_no_other(api: Running) -> None:
    headers = await api.key(tenant="acme")
    source = await made(api, headers)
    place = f"{PATH}/{source['id']}"

    rotated = await api.client.post(f"{place}/rotate", headers=headers, json={"secret": "whsec_the_next_one"})

    assert rotated.json() == {"secret": "whsec_the_next_one"}
    for reply in (await api.client.get(place, headers=headers), await api.client.get(PATH, headers=headers)):
        assert "whsec_" not in reply.text
    assert (await api.client.get(place, headers=headers)).json()["activeSecrets"] == 2


async def test_a_rotation_makes_a_secret_only_where_the_sender_takes_ours(api: Running) -> None:
    headers = await api.key(tenant="acme")
    own = await made(api, headers, name="own", scheme="bearer", secrets=[])
    theirs = await made(api, headers)

    new = await api.client.post(f"{PATH}/{own['id']}/rotate", headers=headers, json={"gracePeriodSeconds": 0})
    refused = await api.client.post(f"{PATH}/{theirs['id']}/rotate", headers=headers, json={})

    assert new.json()["secret"] not in own["secrets"]
    assert (await api.client.get(f"{PATH}/{own['id']}", headers=headers)).json()["activeSecrets"] == 1
    assert_problem(refused, 400, "input.secret")


async def test_a_source_of_another_tenant_looks_like_one_that_never_was(api: Running) -> None:
    theirs = await made(api, await api.key(tenant="other"))
    headers = await api.key(tenant="acme")

    for method, ending, body in (("GET", "", None), ("PUT", "", {}), ("DELETE", "", None), ("POST", "/rotate", {})):
        foreign = await api.client.request(method, f"{PATH}/{theirs['id']}{ending}", headers=headers, json=body)
        absent = await api.client.request(method, f"{PATH}/src_nothing{ending}", headers=headers, json=body)

        assert_problem(foreign, 404, "input.not_found")
        assert foreign.json() == absent.json()
    assert (await api.client.get(PATH, headers=headers)).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": "Stripe"}, "input.source"),
        ({"scheme": "stripes"}, "input.source"),
        ({"options": {"header": "X"}}, "input.source"),
        ({"scheme": "twilio"}, "input.source"),
        ({"secrets": ["short"]}, "input.secret"),
        ({"secrets": []}, "input.secret"),
        ({"options": {"colour": "red"}}, "input.invalid"),
        ({"colour": "red"}, "input.invalid"),
    ],
)
async def test_what_is_no_source_is_refused(api: Running, body: dict[str, Any], code: str) -> None:
    whole = {"name": "stripe", "scheme": "stripe", "secrets": [SECRET], **body}

    assert_problem(await api.client.post(PATH, headers=await api.key(tenant="acme"), json=whole), 400, code)
