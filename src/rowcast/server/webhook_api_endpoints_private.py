"""The webhook API: what is secret about an endpoint: its secret, its headers, and how its receiver knows us."""

import os
import re
from typing import Literal

import msgspec
from litestar import Router, get, patch, post, put
from litestar.handlers import HTTPRouteHandler

from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.server.described import Described
from rowcast.server.webhook_api import PREFIX, Asked, EmptyReply, Reply, replied
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_endpoints_frame import ENDPOINT_PATH, EndpointApi
from rowcast.store.pool import Connection
from rowcast.webhooks.authentication import Authentication, Basic, ClientCertificate, OAuth2
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.secrets_table import GRACE_S
from rowcast.webhooks.signature import Scheme, checked_secret, new_secret

_SENSITIVE = re.compile(r"auth|token|secret|key|passw|cookie|signature|credential|session", re.IGNORECASE)


class SecretOut(msgspec.Struct, frozen=True):
    """What the receiver of an endpoint verifies with."""

    key: str


class RotateIn(msgspec.Struct, frozen=True, rename="camel"):
    """How to rotate. Without `key` there is a new one: of `signatureScheme`, else of the endpoint's own."""

    key: str | None = None
    grace_period_seconds: int | None = None
    signature_scheme: Scheme | None = None

    @property
    def secret(self) -> str | None:
        """Give the secret to put into use; None for a new one of the endpoint's own scheme.

        Raises:
            InvalidFieldError: `input.field`; the text never holds the secret.
        """
        if not self.key:
            return new_secret(os.urandom, self.signature_scheme) if self.signature_scheme else None
        try:
            return checked_secret(self.key)
        except InvalidInputError as error:
            raise InvalidFieldError(str(error), place=("body", "key")) from None


class HeadersIn(msgspec.Struct, frozen=True, rename="camel"):
    """Headers to send. In a PATCH those that are null, or named in `deleteHeaders`, are removed."""

    headers: dict[str, str | None]
    delete_headers: tuple[str, ...] | None = None

    @property
    def given(self) -> dict[str, str]:
        """Give those that have a value."""
        return {name: value for name, value in self.headers.items() if value is not None}

    @property
    def removed(self) -> tuple[str, ...]:
        """Give the names of those that are taken away."""
        return (*(name for name, value in self.headers.items() if value is None), *(self.delete_headers or ()))


class HeadersOut(msgspec.Struct, frozen=True):
    """The headers of an endpoint; of those that look secret only the names."""

    headers: dict[str, str]
    sensitive: list[str]


def headers_out(headers: dict[str, str]) -> HeadersOut:
    """Give headers as they are answered."""
    hidden = [name for name in headers if _SENSITIVE.search(name)]
    return HeadersOut({name: value for name, value in headers.items() if name not in hidden}, hidden)


class AuthenticationOut(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """How its receiver knows us, without anything that is secret; `type` is null where there is nothing."""

    type: Literal["basic", "oauth2", "mtls"] | None
    username: str = ""
    token_url: str = ""
    client_id: str = ""
    scopes: tuple[str, ...] = ()
    audience: str = ""
    certificate: str = ""


def authentication_out(said: Authentication | None) -> AuthenticationOut:
    """Give it as it is answered."""
    match said:
        case Basic(username=username):
            return AuthenticationOut("basic", username=username)
        case OAuth2(token_url=url, client_id=client_id, scopes=scopes, audience=audience):
            return AuthenticationOut("oauth2", token_url=url, client_id=client_id, scopes=scopes, audience=audience)
        case ClientCertificate(certificate=certificate):
            return AuthenticationOut("mtls", certificate=certificate)
    return AuthenticationOut(None)


def endpoint_private_routes(ground: EndpointApi) -> Router:
    """Give the routes secret, headers and authentication of an endpoint."""
    handlers = [*_secret(ground), *_reading(ground), *_changing_headers(ground), _setting_authentication(ground)]
    return Router(f"{PREFIX}/app", route_handlers=handlers, tags=["webhook API"])


def _secret(ground: EndpointApi) -> list[HTTPRouteHandler]:
    api, secrets, may_see = ground.api, ground.table.secrets, ground.api.may("endpoints:secrets")

    @get(f"{ENDPOINT_PATH}/secret", guards=may_see, described=Described(gives=SecretOut))
    async def read_secret(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Give what the receiver of an endpoint verifies with."""
        async with api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            key = await secrets.current(found.tenant_id, found.id, session=connection)
        return replied(Answer(200, SecretOut(key)))

    described = Described(RotateIn, SecretOut, (400,))

    @post(f"{ENDPOINT_PATH}/secret/rotate", guards=api.may("endpoints:rotate"), status_code=200, described=described)
    async def rotate_secret(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Put a new secret into use; the old one signs beside it for a day, or for as long as is asked."""
        data = read_body(await request.body(), RotateIn)
        secret = data.secret
        grace_s = GRACE_S if data.grace_period_seconds is None else float(data.grace_period_seconds)

        async def act(connection: Connection, found: Endpoint) -> Answer:
            key = await secrets.rotate(found.tenant_id, found.id, key=secret, grace_s=grace_s, session=connection)
            return Answer(200, SecretOut(key))

        return await ground.write(request, (app_id, endpoint_id), act)

    return [read_secret, rotate_secret]


def _reading(ground: EndpointApi) -> list[HTTPRouteHandler]:
    api, privates, may_read = ground.api, ground.privates, ground.api.may("endpoints:read")

    @get(f"{ENDPOINT_PATH}/headers", guards=may_read, described=Described(gives=HeadersOut))
    async def read_headers(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Give the headers that are sent beside ours; of those that look secret only the names."""
        async with api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            headers = await privates.headers(connection, found)
        return replied(Answer(200, headers_out(headers)))

    @get(f"{ENDPOINT_PATH}/authentication", guards=may_read, described=Described(gives=AuthenticationOut))
    async def read_authentication(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Give how its receiver knows us beyond the signature, without anything that is secret."""
        async with api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
            said = await privates.authentication(connection, found)
        return replied(Answer(200, authentication_out(said)))

    return [read_headers, read_authentication]


def _changing_headers(ground: EndpointApi) -> list[HTTPRouteHandler]:
    privates, may_write = ground.privates, ground.api.may("endpoints:write")

    @put(f"{ENDPOINT_PATH}/headers", guards=may_write, status_code=204, described=Described(HeadersIn))
    async def set_headers(request: Asked, app_id: str, endpoint_id: str) -> EmptyReply:
        """Replace all headers."""
        data = read_body(await request.body(), HeadersIn)

        async def act(connection: Connection, found: Endpoint) -> None:
            await privates.set_headers(connection, found, data.given)

        return await ground.write_empty(request, (app_id, endpoint_id), act)

    @patch(f"{ENDPOINT_PATH}/headers", guards=may_write, status_code=204, described=Described(HeadersIn))
    async def patch_headers(request: Asked, app_id: str, endpoint_id: str) -> EmptyReply:
        """Set some headers and remove others."""
        data = read_body(await request.body(), HeadersIn)

        async def act(connection: Connection, found: Endpoint) -> None:
            await privates.change_headers(connection, found, data.given, removed=data.removed)

        return await ground.write_empty(request, (app_id, endpoint_id), act)

    return [set_headers, patch_headers]


def _setting_authentication(ground: EndpointApi) -> HTTPRouteHandler:
    may_write, described = ground.api.may("endpoints:write"), Described(Authentication | None)

    @put(f"{ENDPOINT_PATH}/authentication", guards=may_write, status_code=204, described=described)
    async def set_authentication(request: Asked, app_id: str, endpoint_id: str) -> EmptyReply:
        """Replace how its receiver knows us: basic, oauth2 or mtls; null takes it away."""
        body = await request.body()

        async def act(connection: Connection, found: Endpoint) -> None:
            await ground.privates.set_authentication(connection, found, body)

        return await ground.write_empty(request, (app_id, endpoint_id), act)

    return set_authentication
