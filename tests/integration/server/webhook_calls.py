"""Calling the webhook API over HTTP, and seeing that each error has the one form that the SDKs read."""

from typing import Any

import httpx

from tests.integration.server.running import Running

FORMS = {"loc", "msg", "type"}


def assert_refused(reply: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """See that an answer is a refusal in the form that the SDKs read."""
    body: dict[str, Any] = reply.json()
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/json"
    assert body.keys() == {"code", "detail"}
    assert body["detail"]
    assert code is None or body["code"] == code, reply.text
    if status == 422:
        assert all(item.keys() == FORMS and item["loc"] and item["msg"] for item in body["detail"])
    else:
        assert isinstance(body["detail"], str)
    return body


def places_in(reply: httpx.Response) -> list[list[str]]:
    """Give the places of an answer with status 422."""
    return [item["loc"] for item in assert_refused(reply, 422)["detail"]]


async def made_application(api: Running, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    """Give a new application."""
    reply = await api.client.post("/api/v1/app", headers=headers, json={"name": "Acme", **fields})
    assert reply.status_code == 201, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def endpoint_path(api: Running, tenant: str = "acme") -> str:
    """Give the path of a new endpoint `shop` of a tenant."""
    headers = await api.key()
    body = {"url": "https://hooks.example.com/", "uid": "shop"}
    await api.client.post("/api/v1/app", headers=headers, json={"name": tenant, "uid": tenant})
    reply = await api.client.post(f"/api/v1/app/{tenant}/endpoint", headers=headers, json=body)
    assert reply.status_code == 201, reply.text
    return f"/api/v1/app/{tenant}/endpoint/shop"
