"""The table of endpoints on a real database."""

import os

import msgspec
import pytest

from rowcast.core.errors import ConflictError, InvalidInputError, LimitExceededError, NotFoundError
from rowcast.egress.guard import Policy
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.endpoint_draft import EndpointChange, EndpointDraft
from rowcast.webhooks.sealing import KeyRing, SealKey
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.signature import SECRET_PREFIX, secret_key, secret_text
from rowcast.webhooks.table import EndpointTable

DRAFT = EndpointDraft(url="https://Hooks.Example.com", description="CRM", event_types=("orders.*",))


def endpoint_table(database: Database, clock: FakeClock) -> EndpointTable:
    ring = KeyRing([SealKey("test", b"t" * 32)], noise=os.urandom)
    secrets = SecretTable(database=database, ring=ring, clock=clock)
    return EndpointTable(database=database, policy=Policy(), clock=clock, secrets=secrets)


async def test_a_tenant_has_so_many_endpoints_and_no_more(database: Database) -> None:
    secrets = endpoint_table(database, FakeClock()).secrets
    table = EndpointTable(database=database, policy=Policy(), clock=FakeClock(), secrets=secrets, most=2)
    made = [await table.create("acme", DRAFT) for _ in range(2)]

    with pytest.raises(LimitExceededError) as refusal:
        await table.create("acme", DRAFT)
    await table.create("other", DRAFT)
    await table.delete("acme", made[0].id)
    await table.create("acme", DRAFT)

    assert refusal.value.code == "limit.endpoints"


@pytest.fixture
def table(database: Database) -> EndpointTable:
    return endpoint_table(database, FakeClock())


async def test_endpoint_is_created_with_a_canonical_url_and_a_secret_of_its_own(table: EndpointTable) -> None:
    first, second = await table.create("acme", DRAFT), await table.create("acme", DRAFT)

    assert (first.url, first.description, first.event_types, first.is_disabled) == (
        "https://hooks.example.com/",
        "CRM",
        ("orders.*",),
        False,
    )
    assert await table.get("acme", first.id) == first
    secrets = [await table.secrets.current("acme", each.id) for each in (first, second)]
    assert secrets[0] != secrets[1]
    assert all(secret.startswith(SECRET_PREFIX) and len(secret_key(secret)) == 32 for secret in secrets)


async def test_endpoint_takes_a_secret_that_the_tenant_brings(table: EndpointTable) -> None:
    secret = secret_text(b"k" * 24)
    made = await table.create("acme", msgspec.structs.replace(DRAFT, secret=secret))

    assert await table.secrets.current("acme", made.id) == secret


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "http://example.com/"}, "egress.blocked"),
        ({"url": "https://169.254.169.254/"}, "egress.blocked"),
        ({"url": "https://localhost/"}, "egress.blocked"),
        ({"url": "nonsense"}, "input.url"),
        ({"event_types": ("no type",)}, "input.event_pattern"),
        ({"event_types": ()}, "input.event_pattern"),
    ],
)
async def test_endpoint_that_cannot_be_used_is_refused_at_creation_and_at_change(
    table: EndpointTable, change: dict[str, object], code: str
) -> None:
    kept = await table.create("acme", DRAFT)
    wrong = msgspec.structs.replace(DRAFT, **change)

    for call in (table.create("acme", wrong), table.update("acme", kept.id, wrong)):
        with pytest.raises(InvalidInputError) as refusal:
            await call
        assert refusal.value.code == code
    assert list(await table.page("acme")) == [kept]


async def test_malformed_secret_and_malformed_tenant_are_refused(table: EndpointTable) -> None:
    with pytest.raises(InvalidInputError, match="whsec_"):
        await table.create("acme", msgspec.structs.replace(DRAFT, secret="short"))
    with pytest.raises(InvalidInputError, match="tenant"):
        await table.create("", DRAFT)


async def test_another_tenants_endpoint_is_not_there(table: EndpointTable) -> None:
    made = await table.create("acme", DRAFT)

    for call in (
        table.get("other", made.id),
        table.secrets.current("other", made.id),
        table.update("other", made.id, DRAFT),
        table.delete("other", made.id),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert not await table.disable("other", made.id)
    assert await table.for_signing([("other", made.id)]) == {}
    assert await table.for_tenants(["other"]) == {}
    assert await table.get("acme", made.id) == made


async def test_endpoint_is_changed_and_deleted(table: EndpointTable) -> None:
    made = await table.create("acme", DRAFT)

    changed = await table.update("acme", made.id, EndpointDraft(url="https://b.example.com/x", is_disabled=True))
    await table.delete("acme", made.id)

    assert (changed.url, changed.event_types, changed.is_disabled, changed.created_at) == (
        "https://b.example.com/x",
        None,
        True,
        made.created_at,
    )
    assert changed.changed_at > made.changed_at
    with pytest.raises(NotFoundError):
        await table.get("acme", made.id)


async def test_pages_give_every_endpoint_once_the_oldest_first(database: Database) -> None:
    clock = FakeClock()
    table = endpoint_table(database, clock)
    made = []
    for _ in range(5):
        made.append((await table.create("acme", DRAFT)).id)
        clock.tick()

    first = await table.page("acme", most=3)
    rest = await table.page("acme", after=first[-1].id, most=3)

    assert [each.id for each in (*first, *rest)] == made


async def test_endpoints_of_many_tenants_come_in_one_answer(table: EndpointTable) -> None:
    made = {tenant: await table.create(tenant, DRAFT) for tenant in ("acme", "beta", "gamma")}
    await table.disable("gamma", made["gamma"].id)

    assert await table.for_tenants(["acme", "beta", "gamma", "acme"]) == {
        "acme": [made["acme"]],
        "beta": [made["beta"]],
        "gamma": [await table.get("gamma", made["gamma"].id)],
    }


async def test_disabling_tells_whether_it_was_running(table: EndpointTable) -> None:
    made = await table.create("acme", DRAFT)

    assert [await table.disable("acme", made.id), await table.disable("acme", made.id)] == [True, False]
    assert (await table.get("acme", made.id)).is_disabled


async def test_tenants_role_never_sees_a_secret_or_another_tenant(database: Database, table: EndpointTable) -> None:
    await table.create("acme", DRAFT)
    await table.create("beta", DRAFT)

    async with database.as_tenant("acme") as connection:
        rows = await connection.driver.fetch("select tenant_id from rowcast.endpoint")
        assert [row["tenant_id"] for row in rows] == ["acme"]
    with pytest.raises(Exception, match="permission denied"):
        async with database.as_tenant("acme") as connection:
            await connection.driver.fetch("select sealed from rowcast.endpoint_secret")


async def test_an_endpoint_is_named_by_id_or_uid_within_its_tenant(table: EndpointTable, database: Database) -> None:
    made = await table.create("acme", msgspec.structs.replace(DRAFT, uid="crm"))
    other = await table.create("beta", msgspec.structs.replace(DRAFT, uid="crm"))

    for name in (made.id, "crm"):
        assert await table.named(database, "acme", name) == made
    assert await table.named(database, "beta", "crm") == other
    assert await table.find(database, "acme", other.id) is None
    with pytest.raises(NotFoundError):
        await table.named(database, "acme", "nobody")
    with pytest.raises(ConflictError):
        await table.create("acme", msgspec.structs.replace(DRAFT, uid="crm"))


async def test_all_that_is_said_is_read_back_and_a_change_touches_nothing_else(table: EndpointTable) -> None:
    draft = msgspec.structs.replace(
        DRAFT, url="https://a.example.com/", uid="crm", channels=("eu", "us"), throttle_rate=3, metadata={"a": "\x00"},
        version=2, is_ordered=True, retry_schedule_s=(5.0, 0.5), log_level="failures", signature_scheme="v1a",
    )  # fmt: skip
    made = await table.create("acme", draft)
    changed = await table.change("acme", "crm", EndpointChange(version=3, uid=None))

    assert {name: getattr(made, name) for name in draft.__struct_fields__ if name != "secret"} == {
        name: value for name, value in msgspec.structs.asdict(draft).items() if name != "secret"
    }
    assert changed == msgspec.structs.replace(made, version=3, uid=None, changed_at=changed.changed_at)


async def test_its_health_begins_anew_when_it_is_enabled_or_posted_to_elsewhere_and_not_otherwise(
    table: EndpointTable, database: Database
) -> None:
    made = await table.create("acme", DRAFT)
    fails = parse_query("fails", "update rowcast.endpoint set failing_since = now() where id = :id")

    async def changed(**fields: object) -> tuple[bool, bool]:
        await database.execute(fails, id=made.id)
        now = await table.change("acme", made.id, EndpointChange(**fields))  # type: ignore[arg-type]
        return now.failing_since is not None, now.disabled_at is not None

    assert await changed(description="other") == (True, False)
    assert await changed(url="https://other.example.com/") == (False, False)
    assert await changed(is_disabled=True) == (True, True)
    assert await changed(description="still") == (True, True)
    assert await changed(is_disabled=False) == (False, False)


async def test_a_url_that_another_policy_let_in_may_stay_so_that_its_endpoint_can_be_disabled(
    table: EndpointTable, database: Database
) -> None:
    lax = EndpointTable(database=database, policy=Policy(allow_http=True), clock=FakeClock(), secrets=table.secrets)
    made = await lax.create("acme", EndpointDraft(url="http://a.example.com/"))

    assert (await table.change("acme", made.id, EndpointChange(is_disabled=True))).is_disabled
    with pytest.raises(InvalidInputError, match="https"):
        await table.change("acme", made.id, EndpointChange(url="http://b.example.com/"))


async def test_what_a_transaction_makes_is_gone_with_it(table: EndpointTable, database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as session:
            made = await table.create("acme", DRAFT, session=session)
            await table.secrets.rotate("acme", made.id, session=session)
            raise ZeroDivisionError

    assert list(await table.page("acme")) == []
