"""`/rest/v1/<table>` of the shim: rows are written and read in the token's role, and row-level security decides."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response, Router, delete, get, patch, post

from rowcast.core.clock import Clock
from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError, RowcastError
from rowcast.realtime.authorize import Authorizer, Claims, Refusal
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.testing.shim_filters import Filter, chosen_columns, parse_filters
from rowcast.testing.shim_token import claims_of_request

ROLES = ("anon", "authenticated", "service_role")
_SINGLE = "application/vnd.pgrst.object+json"
_STATUSES = {"42501": 403, "42P01": 404, "23505": 409, "23503": 409, "40001": 409}
_ONE_ROW = "JSON object requested, multiple (or no) rows returned"

Call = Request[Any, Any, Any]


class Fault(msgspec.Struct, frozen=True):
    """An error as the stock client reads it."""

    message: str
    code: str
    details: str | None = None
    hint: str | None = None


class _Rest:
    """Runs the queries of a request in one transaction that speaks with its token."""

    def __init__(self, *, database: Database, authorizer: Authorizer, clock: Clock) -> None:
        self._database = database
        self._authorizer = authorizer
        self._clock = clock
        self._queries = load_queries("rowcast.testing")

    async def answer(self, request: Call, name: str, **values: object) -> Response[Any]:
        """Give the answer to a request whose query is `name`."""
        claims = claims_of_request(request, authorizer=self._authorizer, clock=self._clock)
        if isinstance(claims, Refusal):
            return _refused(401, Fault(claims.text, "PGRST301"))
        if claims.role not in ROLES:
            return _refused(403, Fault(f'role "{claims.role[:60]}" does not exist', "22023"))
        try:
            documents = await self._documents(claims, name, values)
        except (RowcastError, asyncpg.PostgresError) as error:
            return _explained(error, claims)
        return _shown(request, name, documents)

    async def _documents(self, claims: Claims, name: str, values: dict[str, object]) -> Sequence[Any]:
        async with self._database.transaction() as session:
            await session.execute(self._queries["speak_with_token"], role=claims.role, claims=claims.document.decode())
            rows = await session.fetch(self._queries[name], **values)
        return [msgspec.json.decode(row["document"]) for row in rows if row["document"] is not None]


def rest_routes(*, database: Database, authorizer: Authorizer, clock: Clock) -> Router:
    """Give the routes of tables in the schema `public`."""
    rest = _Rest(database=database, authorizer=authorizer, clock=clock)

    @post("/{table:str}", include_in_schema=False)
    async def insert(request: Call, table: str) -> Response[Any]:
        items = _document(await request.body())
        listed = items if isinstance(items, list) else [items]
        return await rest.answer(
            request, "insert_rows", relation=table, items=_text(listed), is_returned=_wants(request)
        )

    @patch("/{table:str}", include_in_schema=False)
    async def change(request: Call, table: str) -> Response[Any]:
        changes, filters = _document(await request.body()), _filters(request)
        if not isinstance(changes, dict) or not changes or not filters:
            raise InvalidInputError("A change needs an object with columns, and a filter.")
        return await rest.answer(
            request, "update_rows", relation=table, changes=_text(changes), filters=_text(filters),
            is_returned=_wants(request),
        )  # fmt: skip

    @delete("/{table:str}", include_in_schema=False, status_code=200)
    async def remove(request: Call, table: str) -> Response[Any]:
        filters = _filters(request)
        if not filters:
            raise InvalidInputError("A deletion needs a filter.")
        return await rest.answer(
            request, "delete_rows", relation=table, filters=_text(filters), is_returned=_wants(request)
        )

    @get("/{table:str}", include_in_schema=False)
    async def read(request: Call, table: str) -> Response[Any]:
        return await rest.answer(request, "select_rows", relation=table, filters=_text(_filters(request)))

    return Router(
        "/rest/v1", route_handlers=[insert, change, remove, read], exception_handlers={RowcastError: _invalid}
    )


def _filters(request: Call) -> Sequence[Filter]:
    return parse_filters(request.query_params.multi_items())


def _document(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError("The body is no JSON.", code="input.not_json") from error


def _text(document: object) -> str:
    return encode_json(document).decode()


def _wants(request: Call) -> bool:
    return "return=representation" in request.headers.get("prefer", "")


def _shown(request: Call, name: str, documents: Sequence[Any]) -> Response[Any]:
    if name != "select_rows" and not _wants(request):
        return Response(b"", status_code=201 if name == "insert_rows" else 204)
    columns = chosen_columns(request.query_params.get("select", ""))
    rows = [_chosen(document, columns) for document in documents]
    status = 201 if name == "insert_rows" else 200
    if _SINGLE not in request.headers.get("accept", ""):
        return Response(rows, status_code=status)
    if len(rows) != 1:
        return _refused(406, Fault(_ONE_ROW, "PGRST116", f"The result contains {len(rows)} rows"))
    return Response(rows[0], status_code=status)


def _chosen(document: dict[str, Any], columns: frozenset[str] | None) -> dict[str, Any]:
    return document if columns is None else {name: value for name, value in document.items() if name in columns}


def _explained(error: BaseException, claims: Claims) -> Response[Any]:
    """Give the server's own words for a refusal of its; a fault of ours stays one."""
    cause: Any = error.__cause__ if isinstance(error, RowcastError) else error
    sqlstate = getattr(cause, "sqlstate", None)
    if not isinstance(sqlstate, str):
        raise error
    status = _STATUSES.get(sqlstate, 400)
    fault = Fault(str(cause), sqlstate, getattr(cause, "detail", None), getattr(cause, "hint", None))
    return _refused(401 if status == 403 and claims.role == "anon" else status, fault)


def _refused(status: int, fault: Fault) -> Response[Any]:
    return Response(fault, status_code=status, media_type="application/json")


def _invalid(_: Call, error: RowcastError) -> Response[Any]:
    return _refused(error.http_status, Fault(str(error), error.code))
