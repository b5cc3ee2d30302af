"""The OpenAPI document of a whole server: every route is described, and every reference leads somewhere."""

import re
from typing import Any

import pytest

from rowcast.server.webhook_api_errors import is_webhook_api
from tests.integration.server.running import Running

# These take no body.
BODILESS = re.compile(r"/logout|/resend|/publish|/expunge-all-contents")
WRITING = ("post", "put", "patch")


async def test_every_route_says_what_it_takes_and_what_it_gives(api: Running) -> None:
    document = (await api.client.get("/api/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            place = f"{method} {path}: add `described=Described(...)`, see server/described.py"
            answers = {status: answer for status, answer in said["responses"].items() if status.startswith("2")}
            assert answers, place
            assert all(_is_described(answer) for status, answer in answers.items() if is_webhook_api(path)), place
            if method in WRITING and not BODILESS.search(path):
                assert "requestBody" in said, place
            assert said["summary"], place


async def test_every_reference_leads_somewhere(api: Running) -> None:
    document = (await api.client.get("/api/openapi.json")).json()
    for reference in _references(document):
        found = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
        assert found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("post", "/api/v1/sources/{source_id}/rotate", "429"),
        ("post", "/api/v1/endpoints", "429"),
        ("post", "/in/{source_id}", "429"),
        ("post", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/recover", "429"),
        ("post", "/api/v1/app/{app_id}/endpoint/{endpoint_id}/secret/rotate", "400"),
    ],
)
async def test_a_limit_that_takes_many_requests_to_reach_is_told(
    api: Running, method: str, path: str, status: str
) -> None:
    document = (await api.client.get("/api/openapi.json")).json()

    assert status in document["paths"][path][method]["responses"]


def _is_described(answer: dict[str, Any]) -> bool:
    return all(media["schema"] for kind, media in answer.get("content", {}).items() if kind == "application/json")


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for each in value for found in _references(each)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for each in value.values() for found in _references(each)]
