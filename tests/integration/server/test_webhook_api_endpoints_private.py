"""What is secret about an endpoint, over the webhook API."""

from typing import Any

from rowcast.server.webhook_api_endpoints_private import HeadersOut, headers_out
from rowcast.webhooks.signature import checked_secret
from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

PLACE = "/api/v1/app/acme/endpoint/crm"
SECRET = "whsec_" + "a" * 32
OAUTH2 = {
    "type": "oauth2", "tokenUrl": "https://id.example.com/token", "clientId": "a", "clientSecret": "canary",
    "scopes": ["s"], "audience": "", "isSecretInBody": False,
}  # fmt: skip


async def made(api: Running, **fields: Any) -> dict[str, str]:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    body = {"url": "https://hooks.example.com/in", "uid": "crm", **fields}
    reply = await api.client.post("/api/v1/app/acme/endpoint", headers=headers, json=body)
    assert reply.status_code == 201, reply.text
    return headers


async def test_a_secret_is_shown_to_who_may_see_it_and_stands_in_no_other_answer(api: Running) -> None:
    headers = await made(api, secret=SECRET, headers={"x-a": "1"}, authentication=OAUTH2)
    poor = await api.key("endpoints:read", "endpoints:write")

    assert (await api.client.get(f"{PLACE}/secret", headers=headers)).json() == {"key": SECRET}
    assert_refused(await api.client.get(f"{PLACE}/secret", headers=poor), 403)
    shown = await api.client.get(PLACE, headers=headers)
    patched = await api.client.patch(PLACE, headers=headers, json={"description": "x"})
    for reply in (shown, patched):
        assert not {"secret", "headers", "authentication"} & reply.json().keys()
        assert "canary" not in reply.text
    assert (await api.client.get(f"{PLACE}/headers", headers=headers)).json()["headers"] == {"x-a": "1"}


async def test_a_rotation_gives_a_new_secret_of_the_scheme_that_is_asked_for(api: Running) -> None:
    headers = await made(api, secret=SECRET)

    async def rotated(**body: object) -> Any:
        reply = await api.client.post(f"{PLACE}/secret/rotate", headers=headers, json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()["key"]

    new, own, public = await rotated(), await rotated(key=SECRET), await rotated(signatureScheme="v1a")
    scheme = (await api.client.get(PLACE, headers=headers)).json()["signatureScheme"]

    assert checked_secret(new) != SECRET
    assert (own, public[:5], scheme) == (SECRET, "whpk_", "v1a")
    for body, place in (({"key": "short"}, "key"), ({"gracePeriodSeconds": 604_801}, "gracePeriodSeconds")):
        wrong = await api.client.post(f"{PLACE}/secret/rotate", headers=headers, json=body)
        assert places_in(wrong) == [["body", place]]


async def test_too_many_rotations_are_refused_as_the_sdks_know_it(api: Running) -> None:
    headers = await made(api)

    for _ in range(10):
        assert (await api.client.post(f"{PLACE}/secret/rotate", headers=headers, json={})).status_code == 200

    assert_refused(await api.client.post(f"{PLACE}/secret/rotate", headers=headers, json={}), 400, "limit_reached")
    assert_refused(await api.client.patch(PLACE, headers=headers, json={"secret": SECRET}), 400, "limit_reached")


async def test_a_secret_in_a_patch_is_a_rotation_and_both_sign(api: Running) -> None:
    headers = await made(api)
    before = (await api.client.get(f"{PLACE}/secret", headers=headers)).json()["key"]

    await api.client.patch(PLACE, headers=headers, json={"secret": SECRET})

    after = (await api.client.get(f"{PLACE}/secret", headers=headers)).json()["key"]
    endpoint = (await api.client.get(PLACE, headers=headers)).json()["id"]
    signing = (await api.app.endpoints.for_signing([("acme", endpoint)]))["acme", endpoint]
    assert (after, signing.secrets) == (SECRET, (SECRET, before))


async def test_headers_are_patched_and_null_removes(api: Running) -> None:
    headers = await made(api, headers={"x-a": "1", "x-b": "2", "x-c": "3"})
    change = {"headers": {"X-A": None, "x-d": "4"}, "deleteHeaders": ["x-c"]}

    patched = await api.client.patch(f"{PLACE}/headers", headers=headers, json=change)
    wrong = await api.client.patch(f"{PLACE}/headers", headers=headers, json={"headers": {"webhook-id": "1"}})
    shown = (await api.client.get(f"{PLACE}/headers", headers=headers)).json()
    emptied = await api.client.put(f"{PLACE}/headers", headers=headers, json={"headers": {}})

    assert (patched.status_code, patched.content, emptied.status_code) == (204, b"", 204)
    assert shown == {"headers": {"x-b": "2", "x-d": "4"}, "sensitive": []}
    assert places_in(wrong) == [["body", "headers"]]


def test_headers_that_look_secret_are_named_only() -> None:
    secret = ["Authorization", "X-Api-Key", "x-auth-token", "Cookie-2", "X-Password", "x-client-secret"]

    assert headers_out({**dict.fromkeys(secret, "canary"), "x-team": "a"}) == HeadersOut({"x-team": "a"}, secret)


async def test_authentication_is_shown_without_what_is_secret(api: Running) -> None:
    headers = await made(api, authentication={"type": "basic", "username": "ann", "password": "canary"})

    basic = await api.client.get(f"{PLACE}/authentication", headers=headers)
    put = await api.client.put(f"{PLACE}/authentication", headers=headers, json=OAUTH2)
    oauth2 = await api.client.get(f"{PLACE}/authentication", headers=headers)
    wrong = await api.client.put(
        f"{PLACE}/authentication", headers=headers, json={"type": "basic", "password": "canary"}
    )
    await api.client.put(f"{PLACE}/authentication", headers=headers, content=b"null")
    none = await api.client.get(f"{PLACE}/authentication", headers=headers)

    assert (basic.json(), put.status_code, none.json()) == ({"type": "basic", "username": "ann"}, 204, {"type": None})
    assert oauth2.json() == {
        "type": "oauth2", "tokenUrl": "https://id.example.com/token", "clientId": "a", "scopes": ["s"],
    }  # fmt: skip
    assert "canary" not in basic.text + oauth2.text + wrong.text
    assert places_in(wrong) == [["body", "authentication"]]
