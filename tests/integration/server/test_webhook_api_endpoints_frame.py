"""Writing to one endpoint with nobody else in between."""

import asyncio

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import made_application

PLACE = "/api/v1/app/acme/endpoint/crm"


async def test_changes_at_once_of_different_fields_are_all_kept(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    body = {"url": "https://hooks.example.com/in", "uid": "crm"}
    await api.client.post("/api/v1/app/acme/endpoint", headers=headers, json=body)
    changes = {"description": "A", "throttleRate": 3, "channels": ["eu"], "version": 2, "logLevel": "failures"}

    async with asyncio.TaskGroup() as group:
        for name, value in changes.items():
            group.create_task(api.client.patch(PLACE, headers=headers, json={name: value}))
            group.create_task(
                api.client.patch(f"{PLACE}/headers", headers=headers, json={"headers": {f"x-{name}": "1"}})
            )

    shown = (await api.client.get(PLACE, headers=headers)).json()
    assert {name: shown[name] for name in changes} == changes
    kept = (await api.client.get(f"{PLACE}/headers", headers=headers)).json()["headers"]
    assert kept == {f"x-{name}": "1" for name in changes}
