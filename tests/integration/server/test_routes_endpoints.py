"""Endpoints over HTTP: their life, their secret, and nothing of another tenant."""

from typing import Any

from tests.integration.server.running import Running, assert_problem

PATH = "/api/v1/endpoints"
URL = "https://hooks.example.com/in"


async def made(api: Running, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    reply = await api.client.post(PATH, headers=headers, json={"url": URL, **more})
    assert reply.status_code == 201, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_an_endpoint_is_made_listed_read_changed_and_removed(api: Running) -> None:
    headers = await api.key(tenant="acme")

    endpoint = await made(api, headers, eventTypes=["orders.*"])
    place = f"{PATH}/{endpoint['id']}"
    listed = (await api.client.get(PATH, headers=headers)).json()["data"]
    changed = (await api.client.put(place, headers=headers, json={"url": URL + "2", "isDisabled": True})).json()
    read = (await api.client.get(place, headers=headers)).json()
    removed = await api.client.delete(place, headers=headers)

    assert endpoint["eventTypes"] == ["orders.*"]
    assert [item["id"] for item in listed] == [endpoint["id"]]
    assert (changed["url"], changed["isDisabled"], changed["eventTypes"]) == (URL + "2", True, None)
    assert read == changed
    assert (removed.status_code, removed.content) == (204, b"")
    assert_problem(await api.client.get(place, headers=headers), 404, "input.not_found")


async def test_the_secret_is_shown_when_it_is_made_and_never_again(api: Running) -> None:
    headers = await api.key(tenant="acme")

    endpoint = await made(api, headers)

    assert endpoint["secret"].startswith("whsec_")
    assert "secret" not in (await api.client.get(f"{PATH}/{endpoint['id']}", headers=headers)).text
    assert "secret" not in (await api.client.get(PATH, headers=headers)).text


async def test_an_endpoint_of_another_tenant_looks_like_one_that_never_was(api: Running) -> None:
    theirs = await made(api, await api.key(tenant="other"))
    headers = await api.key(tenant="acme")

    for method, body in (("GET", None), ("PUT", {"url": URL}), ("DELETE", None)):
        foreign = await api.client.request(method, f"{PATH}/{theirs['id']}", headers=headers, json=body)
        absent = await api.client.request(method, f"{PATH}/ep_nothing", headers=headers, json=body)

        assert_problem(foreign, 404, "input.not_found")
        assert foreign.json() == absent.json()
    assert (await api.client.get(PATH, headers=headers)).json()["data"] == []
    assert_problem(await api.client.get(f"{PATH}?tenantId=other", headers=headers), 404, "input.not_found")


async def test_an_endpoint_inside_the_network_is_refused(api: Running) -> None:
    headers = await api.key(tenant="acme")

    for url in ("https://127.0.0.1/", "https://169.254.169.254/latest"):
        assert_problem(await api.client.post(PATH, headers=headers, json={"url": url}), 400, "egress.blocked")
    for url in ("ftp://example.com", "http://example.com", "https://", "https://u:p@example.com"):
        reply = await api.client.post(PATH, headers=headers, json={"url": url})
        assert reply.json()["code"] in ("input.url", "egress.blocked"), url


async def test_what_is_no_endpoint_is_refused(api: Running) -> None:
    headers = await api.key(tenant="acme")

    refused = [
        ({}, "input.invalid"),
        ({"url": URL, "colour": "red"}, "input.invalid"),
        ({"url": URL, "eventTypes": ["Not a pattern"]}, "input.event_pattern"),
        ({"url": URL, "secret": "short"}, "input.secret"),
    ]

    for body, code in refused:
        assert_problem(await api.client.post(PATH, headers=headers, json=body), 400, code)


async def test_a_key_for_all_tenants_must_name_one(api: Running) -> None:
    headers = await api.key()

    assert_problem(await api.client.get(PATH, headers=headers), 400, "input.tenant_missing")
    assert_problem(await api.client.post(PATH, headers=headers, json={"url": URL}), 400, "input.tenant_missing")


async def test_pages_give_every_endpoint_once(api: Running) -> None:
    headers = await api.key(tenant="acme")
    ids = {(await made(api, headers, description=str(number)))["id"] for number in range(3)}

    first = (await api.client.get(f"{PATH}?limit=2", headers=headers)).json()["data"]
    second = (await api.client.get(f"{PATH}?limit=2&after={first[-1]['id']}", headers=headers)).json()["data"]

    assert [len(first), len(second)] == [2, 1]
    assert {item["id"] for item in first + second} == ids


async def test_an_endpoint_has_all_that_the_webhook_api_knows_and_is_named_by_its_uid(api: Running) -> None:
    headers = await api.key(tenant="acme")
    own = {
        "uid": "crm", "channels": ["eu"], "throttleRate": 3, "metadata": {"a": "b"}, "isOrdered": True,
        "retryScheduleS": [5.0], "logLevel": "failures",
    }  # fmt: skip

    endpoint = await made(api, headers, signatureScheme="v1a", **own)
    put = await api.client.put(f"{PATH}/crm", headers=headers, json={"url": URL + "2", "throttleRate": None})
    taken = await api.client.post(PATH, headers=headers, json={"url": URL, "uid": "crm"})
    wrong = await api.client.put(f"{PATH}/crm", headers=headers, json={"url": URL, "uid": "ep_1"})
    read = await api.client.get(f"{PATH}/crm", headers=headers)
    removed = await api.client.delete(f"{PATH}/crm", headers=headers)

    assert {name: endpoint[name] for name in own} == own
    assert endpoint["secret"].startswith("whpk_")
    assert {name: put.json()[name] for name in own} == {**own, "throttleRate": None}
    assert (put.json()["url"], put.json()["signatureScheme"]) == (URL + "2", "v1a")
    assert read.json() == put.json()
    assert_problem(taken, 409, "input.conflict")
    assert_problem(wrong, 422, "input.field")
    assert removed.status_code == 204
    assert_problem(await api.client.get(f"{PATH}/{endpoint['id']}", headers=headers), 404, "input.not_found")
