"""What the OpenAPI document says of a route: its body, its answers and the refusals that follow from its shape."""

from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pytest
from litestar import Request, Response, Router, get, post
from litestar.params import Parameter
from litestar.testing import TestClient

from rowcast.server.described import Described
from rowcast.server.http import create_application

T = TypeVar("T")


class ThingIn(msgspec.Struct, rename="camel"):
    first_name: Annotated[str, msgspec.Meta(max_length=9)]
    age: int | None = None


class ThingOut(msgspec.Struct, rename="camel"):
    thing_id: str


class Things(msgspec.Struct, Generic[T]):
    data: list[T]


async def lets_all_in(*_: Any) -> None:
    """Ask for nothing."""


def document_of(*handlers: Any, path: str = "/") -> dict[str, Any]:
    application = create_application([Router(path, route_handlers=list(handlers))])
    with TestClient(application) as client:
        made: dict[str, Any] = client.get("/api/openapi.json").json()
    return made


def schema_of(document: dict[str, Any], place: dict[str, Any]) -> Any:
    """Give the schema that a place in the document refers to."""
    (media,) = place["content"].values()
    name = media["schema"]["$ref"].rpartition("/")[2]
    return document["components"]["schemas"][name]


def test_a_body_that_is_read_by_hand_and_each_answer_are_described() -> None:
    @post("/", described=Described(ThingIn, {201: ThingOut, 200: Things[ThingOut]}))
    async def make(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(b"{}")

    document = document_of(make, path="/things")
    said = document["paths"]["/things"]["post"]

    assert schema_of(document, said["requestBody"])["properties"]["firstName"] == {"type": "string", "maxLength": 9}
    assert said["requestBody"]["required"] is True
    assert schema_of(document, said["responses"]["201"])["required"] == ["thingId"]
    assert schema_of(document, said["responses"]["200"])["properties"].keys() == {"data"}
    assert said["responses"]["413"] == {"$ref": "#/components/responses/Problem413"}


def test_what_one_route_needs_of_a_body_is_required_there_only() -> None:
    @post("/", described=Described(ThingIn, requires=("age",)))
    async def make(request: Request[Any, Any, Any]) -> None:
        return None

    document = document_of(make, path="/things")
    schema = document["paths"]["/things"]["post"]["requestBody"]["content"]["application/json"]["schema"]

    assert schema["allOf"][1] == {"type": "object", "required": ["age"]}
    assert document["components"]["schemas"]["ThingIn"]["required"] == ["firstName"]


def test_without_a_word_the_signature_speaks() -> None:
    @post("/", status_code=202)
    async def make(data: ThingIn) -> Response[ThingOut]:
        return Response(ThingOut("1"))

    @get("/", status_code=204)
    async def look() -> None:
        return None

    document = document_of(make, look, path="/things")
    said = document["paths"]["/things"]

    assert schema_of(document, said["post"]["requestBody"])["required"] == ["firstName"]
    assert schema_of(document, said["post"]["responses"]["202"])["required"] == ["thingId"]
    assert "content" not in said["get"]["responses"]["204"]
    assert said["get"]["responses"].keys() == {"204", "503"}


@pytest.mark.parametrize(
    ("path", "reading", "writing"),
    [
        ("/api/v1/app/{app_id:str}", {"Refusal": {401, 403, 404, 422, 503}}, {"Refusal": {401, 403, 404, 409, 413, 422, 429, 503}}),
        ("/api/v1/things/{app_id:str}", {"Problem": {400, 401, 403, 404, 503}}, {"Problem": {400, 401, 403, 404, 413, 429, 503}}),
    ],
)  # fmt: skip
def test_refusals_follow_from_the_shape_in_the_form_of_the_path(
    path: str, reading: dict[str, set[int]], writing: dict[str, set[int]]
) -> None:
    @get("/", guards=[lets_all_in])
    async def look(
        app_id: str, order: Annotated[str | None, Parameter(query="order", max_length=3)] = None
    ) -> ThingOut:
        return ThingOut(app_id)

    @post("/", guards=[lets_all_in], described=Described(ThingIn, ThingOut, (429,)))
    async def make(app_id: str) -> ThingOut:
        return ThingOut(app_id)

    document = document_of(look, make, path=path)
    said = document["paths"][path.replace(":str", "")]
    kinds = {"Refusal": "application/json", "Problem": "application/problem+json"}
    for method, refusals in (("get", reading), ("post", writing)):
        ((form, statuses),) = refusals.items()
        answers = said[method]["responses"]
        told = {int(each["$ref"].rpartition(form)[2]) for each in answers.values() if "$ref" in each}
        assert told == statuses
        assert said[method]["security"] == [{"key": []}]
        assert document["components"]["responses"][f"{form}401"]["content"].keys() == {kinds[form]}
    orders = [each for each in said["get"]["parameters"] if each["name"] == "order"]
    assert orders[0]["schema"] == {"type": "string", "maxLength": 3}
    keys = [each["name"] for each in said["post"]["parameters"] if each["in"] == "header"]
    assert keys == (["idempotency-key"] if "Refusal" in writing else [])


def test_what_is_read_from_the_query_by_hand_and_other_bodies_are_described() -> None:
    @get("/", described=Described(gives=str, asks={"event_types": str}, given_as=("text/plain",), bearer="user"))
    async def look(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(b"")

    @post("/", described=Described(Any, {202: None, 400: dict[str, str]}, taken_as=("text/xml",), is_whole=True))
    async def take(request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(b"")

    said = document_of(look, take, path="/things")["paths"]["/things"]

    assert [(each["name"], each["schema"]) for each in said["get"]["parameters"]] == [
        ("event_types", {"type": "string"})
    ]
    assert said["get"]["responses"]["200"]["content"] == {"text/plain": {"schema": {}}}
    assert said["get"]["security"] == [{"user": []}]
    assert said["post"]["requestBody"] == {"required": False, "content": {"text/xml": {"schema": {}}}}
    assert said["post"]["responses"].keys() == {"202", "400"}
