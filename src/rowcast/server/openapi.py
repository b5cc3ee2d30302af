"""The OpenAPI document: what the HTTP library reads from signatures, and what the routes say of themselves."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import HTTPRoute
from msgspec import UNSET

from rowcast.server.described import JSON, Described
from rowcast.server.webhook_api_errors import Refusal, is_webhook_api
from rowcast.server.wire import Problem

_SCHEMAS = "#/components/schemas/{name}"
_PROBLEM_TYPE = "application/problem+json"
_IDEMPOTENCY_KEY = {
    "name": "idempotency-key",
    "in": "header",
    "required": False,
    "description": "The request again, with the same key, gets the same answer, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
}
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "A key of `rowcast keys create`: `rk_...`."},
    "user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The token of a user."},
}
_HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}


class DocumentPlugin(JsonRenderPlugin):
    """Serves the document; it is put together when it is asked for first."""

    def __init__(self) -> None:
        """Serve it as `openapi.json`."""
        super().__init__(path="/openapi.json")
        self._document: dict[str, Any] = {}

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Give the document's text."""
        if not self._document:
            self._document = document(request.app, openapi_schema)
        return self.render_json(request, self._document)


class _Operation(msgspec.Struct, frozen=True):
    """One method of one path."""

    path: str
    method: str
    handler: HTTPRouteHandler
    drawn: Mapping[str, Any]
    said: Described

    @property
    def is_webhook_api(self) -> bool:
        return is_webhook_api(self.path)

    @property
    def bearer(self) -> str:
        return "key" if self.handler.resolve_guards() else self.said.bearer

    @property
    def takes(self) -> Any:
        data = self.handler.parsed_fn_signature.parameters.get("data")
        return data.annotation if data is not None else self.said.takes

    @property
    def gives(self) -> Mapping[int, Any]:
        gives = self.said.gives
        if gives is UNSET:
            gives = _unwrapped(self.handler.parsed_fn_signature.return_type.annotation)
        return gives if isinstance(gives, Mapping) else {self.handler.status_code: gives}


def document(app: Litestar, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Give the document of `app`; `drawn` is what the library made of the signatures."""
    operations = list(_operations(app, drawn["paths"]))
    types = [*(type_ for each in operations for type_ in _types(each)), Refusal, Problem]
    made, components = msgspec.json.schema_components(types, ref_template=_SCHEMAS)
    schemas = dict(zip(types, made, strict=True))
    refused = {status for each in operations for status in _refusals(each)}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _shown(each, schemas)
    return {
        **drawn,
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                **{f"Refusal{status}": _refusal(status, JSON, schemas[Refusal]) for status in sorted(refused)},
                **{f"Problem{status}": _refusal(status, _PROBLEM_TYPE, schemas[Problem]) for status in sorted(refused)},
            },
            "securitySchemes": _SCHEMES,
        },
    }


def _operations(app: Litestar, paths: Mapping[str, Any]) -> Iterator[_Operation]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            path = route.path_format or "/"
            drawn = paths.get(path, {}).get(method.lower())
            if drawn is not None and handler.resolve_include_in_schema():
                yield _Operation(path, method, handler, drawn, handler.opt.get("described", Described()))


def _types(operation: _Operation) -> Sequence[Any]:
    asked = operation.said.asks.values()
    return [each for each in (operation.takes, *operation.gives.values(), *asked) if each is not None]


def _shown(operation: _Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    shown = {**operation.drawn, "responses": _answers(operation, schemas)}
    parameters = _parameters(operation, schemas)
    if parameters:
        shown["parameters"] = parameters
    shown.pop("requestBody", None)
    if operation.takes is not None:
        shown["requestBody"] = _body(operation, schemas)
    if operation.bearer:
        shown["security"] = [{operation.bearer: []}]
    return shown


def _parameters(operation: _Operation, schemas: Mapping[Any, Any]) -> list[Any]:
    given = [{**each, "schema": _not_null(each.get("schema", {}))} for each in operation.drawn.get("parameters", ())]
    asked = [
        {"name": name, "in": "query", "required": False, "schema": schemas[type_]}
        for name, type_ in operation.said.asks.items()
    ]
    once = [_IDEMPOTENCY_KEY] if operation.is_webhook_api and operation.method == "POST" else []
    return [*given, *asked, *once]


def _not_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take `null` out of a parameter: in a query there is none, it is left out."""
    if "oneOf" not in schema:
        return schema
    choices = [each for each in schema["oneOf"] if each != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if name != "oneOf"}
    return {**rest, **choices[0]} if len(choices) == 1 else {**rest, "oneOf": choices}


def _body(operation: _Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    taken = operation.takes
    requires, schema = operation.said.requires, schemas[taken]
    if requires:
        schema = {"allOf": [schema, {"type": "object", "required": list(requires)}]}
    fields = msgspec.structs.fields(taken) if isinstance(taken, type) and issubclass(taken, msgspec.Struct) else ()
    # What the library reads itself it refuses when it is not there; what a route reads is `{}` then.
    is_needed = not operation.is_webhook_api and operation.said.takes is None
    content = {each: {"schema": schema if each == JSON else {}} for each in operation.said.taken_as}
    return {"required": is_needed or bool(requires) or any(field.required for field in fields), "content": content}


def _answers(operation: _Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for status, type_ in operation.gives.items():
        answers[str(status)] = _answer(status, operation.said.given_as, None if type_ is None else schemas[type_])
    family = "Refusal" if operation.is_webhook_api else "Problem"
    for status in sorted(_refusals(operation)):
        answers.setdefault(str(status), {"$ref": f"#/components/responses/{family}{status}"})
    return answers


def _answer(status: int, media_types: Sequence[str], schema: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if schema is not None and status != 204:
        answer["content"] = {each: {"schema": schema if each == JSON else {}} for each in media_types}
    return answer


def _refusal(status: int, media_type: str, schema: Any) -> dict[str, Any]:
    refusal = {"description": HTTPStatus(status).phrase, "content": {media_type: {"schema": schema}}}
    return {**refusal, "headers": _HEADERS[status]} if status in _HEADERS else refusal


def _refusals(operation: _Operation) -> set[int]:
    """Give the statuses of the refusals that a route of this shape gives."""
    if operation.said.is_whole:
        return set(operation.said.refuses)
    wheres = {each["in"] for each in operation.drawn.get("parameters", ())}
    is_read = bool(wheres) or bool(operation.said.asks)
    found = {503, *operation.said.refuses}
    found |= {401, 403} if operation.bearer else set()
    found |= {404} if "path" in wheres else set()
    if operation.is_webhook_api:
        found |= {422} if is_read else set()
        return found | ({409, 413, 422} if operation.method != "GET" else set())
    found |= {400} if is_read or operation.takes is not None else set()
    found |= {404} if operation.bearer == "key" and (is_read or operation.takes is not None) else set()
    return found | ({413} if operation.takes is not None else set())


def _unwrapped(annotation: Any) -> Any:
    """Give the type inside `Response[...]`; bytes are whatever the route made of them."""
    origin = get_origin(annotation)
    inner = get_args(annotation)[0] if isinstance(origin, type) and issubclass(origin, Response) else annotation
    return None if inner in (None, type(None)) else Any if inner is bytes else inner
