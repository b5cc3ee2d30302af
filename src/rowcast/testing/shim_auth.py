"""`/auth/v1` of the shim: sign up, sign in, refresh, sign out, and accounts made by an administrator."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from litestar import Request, Response, Router, get, post

from rowcast.core.clock import Clock
from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import RowcastError
from rowcast.realtime.authorize import Authorizer, Claims, Refusal, sign_token
from rowcast.realtime.subscriptions import user_of
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.testing.shim_token import claims_of_request

TOKEN_S = 3600
_PASSWORD_LEAST = 6
_SALT_BYTES = 16

Call = Request[Any, Any, Any]


class Account(msgspec.Struct, frozen=True):
    """Somebody who can sign in."""

    id: UUID
    email: str
    password: bytes
    user_metadata: dict[str, Any]
    app_metadata: dict[str, Any]
    created_at: datetime


class Draft(msgspec.Struct, frozen=True):
    """What a client or an administrator says about a new account."""

    email: str = ""
    password: str = ""
    data: dict[str, Any] | None = None
    user_metadata: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None


class Login(msgspec.Struct, frozen=True):
    """What a client signs in with: a password, or the refresh token of an earlier time."""

    email: str = ""
    password: str = ""
    refresh_token: str = ""


class Fault(msgspec.Struct, frozen=True):
    """An error as the stock client reads it."""

    code: int
    error_code: str
    message: str = msgspec.field(name="msg")


class Accounts:
    """Accounts in the database, and tokens for them."""

    __slots__ = ("_clock", "_database", "_queries", "_secret")

    def __init__(self, *, database: Database, secret: str, clock: Clock) -> None:
        """Sign tokens with `secret`."""
        self._database = database
        self._secret = secret
        self._clock = clock
        self._queries = load_queries("rowcast.testing")

    async def add(self, draft: Draft, *, app_metadata: Mapping[str, Any]) -> Account | Fault:
        """Make an account."""
        if "@" not in draft.email or not draft.email.isprintable():
            return Fault(400, "validation_failed", "Unable to validate email address: invalid format")
        if len(draft.password) < _PASSWORD_LEAST:
            return Fault(422, "weak_password", f"Password should be at least {_PASSWORD_LEAST} characters.")
        row = await self._database.fetch_one(
            self._queries["add_account"],
            email=draft.email,
            password=_hashed(draft.password, os.urandom(_SALT_BYTES)),
            user_metadata=encode_json(draft.data or draft.user_metadata or {}).decode(),
            app_metadata=encode_json({"provider": "email", "providers": ["email"], **app_metadata}).decode(),
        )
        return Fault(422, "user_already_exists", "User already registered") if row is None else _account(row)

    async def by_password(self, email: str, password: str) -> Account | None:
        """Give the account whose password this is."""
        row = await self._database.fetch_one(self._queries["account_by_email"], email=email.replace("\x00", ""))
        if row is None or not hmac.compare_digest(row["password"], _hashed(password, row["password"][:_SALT_BYTES])):
            return None
        return _account(row)

    async def by_refresh(self, token: str) -> Account | None:
        """Give the account of a refresh token, which is used up by that."""
        row = await self._database.fetch_one(self._queries["use_login"], refresh_hash=_digest(token))
        return None if row is None else await self.by_id(row["account_id"])

    async def by_id(self, account_id: UUID) -> Account | None:
        """Give an account."""
        row = await self._database.fetch_one(self._queries["account_by_id"], id=account_id)
        return None if row is None else _account(row)

    async def sign_in(self, account: Account) -> dict[str, Any]:
        """Give a session: an access token, and one with which to get the next."""
        now = int(self._clock.now().timestamp())
        refresh = secrets.token_urlsafe(24)
        await self._database.execute(self._queries["add_login"], refresh_hash=_digest(refresh), account_id=account.id)
        return {
            "access_token": sign_token(_claims(account, now), self._secret),
            "token_type": "bearer",
            "expires_in": TOKEN_S,
            "expires_at": now + TOKEN_S,
            "refresh_token": refresh,
            "user": shown_user(account),
        }

    async def sign_out(self, account_id: UUID) -> None:
        """End every session of an account: no further token is given for one."""
        await self._database.execute(self._queries["end_logins"], account_id=account_id)


def auth_routes(*, accounts: Accounts, authorizer: Authorizer, clock: Clock) -> Router:
    """Give the routes of accounts."""

    @post("/signup", include_in_schema=False, status_code=200)
    async def sign_up(data: Draft) -> Response[Any]:
        made = await accounts.add(data, app_metadata={})
        return _refused(made) if isinstance(made, Fault) else Response(await accounts.sign_in(made))

    @post("/token", include_in_schema=False, status_code=200)
    async def sign_in(data: Login, grant_type: str = "password") -> Response[Any]:
        if grant_type == "refresh_token":
            found = await accounts.by_refresh(data.refresh_token)
        else:
            found = await accounts.by_password(data.email, data.password)
        if found is None:
            return _refused(Fault(400, "invalid_credentials", "Invalid login credentials"))
        return Response(await accounts.sign_in(found))

    @post("/logout", include_in_schema=False, status_code=204)
    async def sign_out(request: Call) -> Response[None]:
        account = await _own(request)
        if account is not None:
            await accounts.sign_out(account.id)
        return Response(None, status_code=204)

    @get("/user", include_in_schema=False)
    async def user(request: Call) -> Response[Any]:
        account = await _own(request)
        if account is None:
            return _refused(Fault(401, "bad_jwt", "This token names no account"))
        return Response(shown_user(account))

    async def _own(request: Call) -> Account | None:
        claims = claims_of_request(request, authorizer=authorizer, clock=clock)
        account_id = None if isinstance(claims, Refusal) else _account_id(claims)
        return None if account_id is None else await accounts.by_id(account_id)

    admin = _admin_routes(accounts=accounts, authorizer=authorizer, clock=clock)
    handlers: list[Any] = [sign_up, sign_in, sign_out, user, admin]
    return Router("/auth/v1", route_handlers=handlers, exception_handlers={RowcastError: _invalid})


def _admin_routes(*, accounts: Accounts, authorizer: Authorizer, clock: Clock) -> Router:
    @post("/users", include_in_schema=False, status_code=200)
    async def add(request: Call, data: Draft) -> Response[Any]:
        claims = claims_of_request(request, authorizer=authorizer, clock=clock)
        if isinstance(claims, Refusal) or not claims.is_service:
            return _refused(Fault(403, "not_admin", "User not allowed"))
        made = await accounts.add(data, app_metadata=data.app_metadata or {})
        return _refused(made) if isinstance(made, Fault) else Response(shown_user(made))

    return Router("/admin", route_handlers=[add])


def shown_user(account: Account) -> dict[str, Any]:
    """Give an account as the stock client shows it."""
    return {
        "id": str(account.id), "aud": "authenticated", "role": "authenticated", "email": account.email, "phone": "",
        "email_confirmed_at": account.created_at, "confirmed_at": account.created_at,
        "app_metadata": account.app_metadata, "user_metadata": account.user_metadata, "identities": [],
        "created_at": account.created_at, "updated_at": account.created_at, "is_anonymous": False,
    }  # fmt: skip


def _claims(account: Account, now_s: int) -> dict[str, object]:
    tenant = account.app_metadata.get("tenant_id")
    return {
        "sub": str(account.id), "role": "authenticated", "aud": "authenticated", "iat": now_s, "exp": now_s + TOKEN_S,
        "email": account.email, "phone": "", "app_metadata": account.app_metadata,
        "user_metadata": account.user_metadata, "session_id": str(uuid4()), "aal": "aal1", "is_anonymous": False,
        **({"tenant_id": tenant} if tenant is not None else {}),
    }  # fmt: skip


def _account(row: Mapping[str, Any]) -> Account:
    metadata = {name: decode_json(row[name], dict[str, Any]) for name in ("user_metadata", "app_metadata")}
    return Account(row["id"], row["email"], row["password"], created_at=row["created_at"], **metadata)


def _account_id(claims: Claims) -> UUID | None:
    try:
        return UUID(user_of(claims.document))
    except ValueError:
        return None


def _hashed(password: str, salt: bytes) -> bytes:
    return salt + hashlib.scrypt(password.encode("utf-8", "replace"), salt=salt, n=2**12, r=8, p=1)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _refused(fault: Fault) -> Response[Any]:
    return Response(fault, status_code=fault.code)


def _invalid(_: Call, error: RowcastError) -> Response[Any]:
    return _refused(Fault(error.http_status, error.code, str(error)))
