"""Accounts of the shim: signed up, signed in, refreshed once, signed out."""

from typing import Any

import pytest

from rowcast.core.clock import SystemClock
from rowcast.realtime.authorize import Authorizer, Claims
from rowcast.store.pool import Database
from tests.integration.testing.shimmed import SECRET, key, shimmed

ADA = {"email": "Ada@Example.com", "password": "secret1"}


async def test_who_signs_up_gets_a_token_that_speaks_for_him(database: Database) -> None:
    async with shimmed(database) as client:
        session = (await client.post("/auth/v1/signup", json={**ADA, "data": {"name": "Ada"}}, headers=key())).json()
        own = {"authorization": f"Bearer {session['access_token']}"}
        user = (await client.get("/auth/v1/user", headers=own)).json()

    claims = Authorizer(secret=SECRET).check(session["access_token"], now=SystemClock().now())
    assert isinstance(claims, Claims)
    assert claims.role == "authenticated"
    assert user == session["user"]
    assert (user["email"], user["user_metadata"]) == ("ada@example.com", {"name": "Ada"})


async def test_a_password_opens_its_own_account_only(database: Database) -> None:
    async with shimmed(database) as client:
        await client.post("/auth/v1/signup", json=ADA)
        right = await client.post("/auth/v1/token?grant_type=password", json=ADA)
        wrong = await client.post("/auth/v1/token?grant_type=password", json={**ADA, "password": "secret2"})
        nobody = await client.post("/auth/v1/token?grant_type=password", json={**ADA, "email": "bob@example.com"})

    assert right.status_code == 200
    assert wrong.status_code == nobody.status_code == 400
    assert wrong.json() == nobody.json() == {
        "code": 400, "error_code": "invalid_credentials", "msg": "Invalid login credentials",
    }  # fmt: skip


async def test_a_refresh_token_is_good_for_one_use_and_for_none_after_signing_out(database: Database) -> None:
    async with shimmed(database) as client:

        async def refresh(token: str) -> Any:
            return await client.post("/auth/v1/token?grant_type=refresh_token", json={"refresh_token": token})

        first = (await client.post("/auth/v1/signup", json=ADA)).json()
        second = (await refresh(first["refresh_token"])).json()
        again = await refresh(first["refresh_token"])
        out = await client.post(
            "/auth/v1/logout?scope=global", headers={"authorization": f"Bearer {second['access_token']}"}
        )
        after = await refresh(second["refresh_token"])

    assert (again.status_code, out.status_code, after.status_code) == (400, 204, 400)


@pytest.mark.parametrize(
    ("draft", "status", "code"),
    [
        ({"email": "nobody", "password": "secret1"}, 400, "validation_failed"),
        ({"email": "a@b.c", "password": "12345"}, 422, "weak_password"),
        (ADA, 422, "user_already_exists"),
        ({"email": "a\x00@b.c", "password": "secret1"}, 400, "validation_failed"),
    ],
)
async def test_an_account_that_cannot_be_is_refused(
    database: Database, draft: dict[str, str], status: int, code: str
) -> None:
    async with shimmed(database) as client:
        await client.post("/auth/v1/signup", json=ADA)
        reply = await client.post("/auth/v1/signup", json=draft)

    assert (reply.status_code, reply.json()["error_code"]) == (status, code)


async def test_only_the_service_makes_accounts_for_others_and_says_whose_tenant_they_are(database: Database) -> None:
    draft = {**ADA, "email_confirm": True, "app_metadata": {"tenant_id": "acme"}}
    async with shimmed(database) as client:
        refused = await client.post("/auth/v1/admin/users", json=draft, headers=key("anon"))
        made = await client.post("/auth/v1/admin/users", json=draft, headers=key("service_role"))
        session = (await client.post("/auth/v1/token?grant_type=password", json=ADA)).json()

    claims = Authorizer(secret=SECRET).check(session["access_token"], now=SystemClock().now())
    assert (refused.status_code, made.status_code) == (403, 200)
    assert isinstance(claims, Claims)
    assert claims.tenant_id == "acme"


async def test_a_token_without_an_account_is_nobodys(database: Database) -> None:
    async with shimmed(database) as client:
        assert (await client.get("/auth/v1/user", headers=key("anon"))).status_code == 401
        assert (await client.post("/auth/v1/logout", headers=key("anon"))).status_code == 204
