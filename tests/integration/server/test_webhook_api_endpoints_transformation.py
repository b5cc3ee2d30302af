"""The transformation of an endpoint, over the webhook API."""

from datetime import datetime
from typing import Any

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import made_application, places_in

PLACE = "/api/v1/app/acme/endpoint/crm"
PATH = f"{PLACE}/transformation"
CODE = '{"text": "{{ data.id }} {{ variables.shop }}"}'


async def made(api: Running) -> dict[str, str]:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    body = {"url": "https://hooks.example.com/in", "uid": "crm"}
    await api.client.post("/api/v1/app/acme/endpoint", headers=headers, json=body)
    return headers


async def test_a_transformation_is_saved_enabled_shown_and_unset(api: Running) -> None:
    headers = await made(api)

    async def patched(**body: Any) -> Any:
        reply = await api.client.patch(PATH, headers=headers, json=body)
        assert (reply.status_code, reply.content) == (204, b""), reply.text
        shown = (await api.client.get(PATH, headers=headers)).json()
        endpoint = (await api.client.get(PLACE, headers=headers)).json()
        return shown, endpoint["isTransformed"]

    nothing = (await api.client.get(PATH, headers=headers)).json()
    saved, enabled, unset = (
        await patched(code=CODE),
        await patched(enabled=True),
        await patched(code=None, enabled=None),
    )

    assert nothing == {"code": None, "enabled": False, "variables": {}, "updatedAt": None}
    assert (saved[0]["code"], saved[0]["enabled"], saved[1]) == (CODE, False, False)
    assert datetime.fromisoformat(saved[0]["updatedAt"]).tzinfo is not None
    assert (enabled[0]["code"], enabled[0]["enabled"], enabled[1]) == (CODE, True, True)
    assert (unset[0]["code"], unset[0]["enabled"], unset[1]) == (None, False, False)


async def test_what_cannot_be_used_is_refused_and_changes_nothing(api: Running) -> None:
    headers = await made(api)
    await api.client.patch(PATH, headers=headers, json={"code": CODE})

    for body, place in (
        ({"code": "function handler() {}"}, "code"),
        ({"code": '"{{ secrets.key }}"'}, "code"),
        ({"code": "1" * 16_385}, "code"),
        ({"variables": {"a": 1}}, "variables"),
        ({"variables": {str(number): "" for number in range(51)}}, "variables"),
    ):
        assert places_in(await api.client.patch(PATH, headers=headers, json=body))[0][:2] == ["body", place]
    assert (await api.client.get(PATH, headers=headers)).json()["code"] == CODE


async def test_a_simulation_gives_the_body_and_keeps_nothing(api: Running) -> None:
    headers = await made(api)
    message = {"eventType": "orders.paid", "payload": {"id": "o1", "lines": [1]}}

    async def simulated(**body: Any) -> Any:
        return await api.client.post(f"{PATH}/simulate", headers=headers, json={**message, **body})

    bare = await simulated()
    tried = await simulated(code=CODE, variables={"shop": "Acme"})
    await api.client.patch(PATH, headers=headers, json={"code": '["{{ type }}", "{{ data.lines }}"]'})
    own = await simulated()
    wrong = await simulated(code='{"$each": "data.id", "$as": 1}')

    assert places_in(bare) == [["body", "code"]]
    assert (tried.status_code, tried.json()) == (200, {"body": {"text": "o1 Acme"}})
    assert own.json() == {"body": ["orders.paid", [1]]}
    assert places_in(wrong) == [["body", "payload"]]
