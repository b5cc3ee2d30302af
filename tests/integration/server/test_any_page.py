"""Pages of other origins may ask for subscriptions, and read why they were refused."""

from tests.integration.server.running import Running

PAGE = {"origin": "https://app.example.com"}


async def test_a_page_of_another_origin_is_told_that_it_may_ask(api: Running) -> None:
    asked = {
        **PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    reply = await api.client.options("/api/realtime/subscribe", headers=asked)

    assert reply.status_code == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert {"authorization", "content-type"} <= set(reply.headers["access-control-allow-headers"].split(", "))


async def test_a_refusal_can_be_read_by_the_page_too(api: Running) -> None:
    refused = await api.client.get("/api/realtime/status", headers=PAGE)
    broken = await api.client.post("/api/realtime/subscribe", content=b"{", headers=PAGE)

    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "*")
    assert (broken.status_code, broken.headers["access-control-allow-origin"]) == (400, "*")


async def test_routes_with_api_keys_are_not_opened_to_pages(api: Running) -> None:
    reply = await api.client.get("/api/v1/events", headers={**PAGE, **await api.key()})

    assert "access-control-allow-origin" not in reply.headers
