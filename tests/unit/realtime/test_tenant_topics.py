"""The topics that need no database: a tenant's own, and what its members may name."""

import pytest

from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access
from rowcast.realtime.messages import TopicKey
from rowcast.realtime.tenant_topics import MemberTopics, TenantTopics, private_key

ALL = Access(reads_broadcast=True, reads_presence=True)


def claims(*, role: str = "authenticated", tenant_id: str | None = "acme") -> Claims:
    return Claims(role, 0, tenant_id)


SERVICE = claims(tenant_id=None, role="service_role")


@pytest.mark.parametrize(
    ("who", "topic", "access"),
    [
        (claims(), "tenant:acme", ALL),
        (claims(), "tenant:acme:orders", ALL),
        (claims(), "tenant:globex", Access()),
        (claims(), "tenant:globex:orders", Access()),
        (claims(), "tenant:", Access()),
        (claims(), "tenant:acme:", Access()),
        (claims(), "tenant:acme:-orders", Access()),
        (claims(), "tenant:acme:orders:x", Access()),
        (claims(), "tenant:\u0430cme", Access()),
        (claims(), "Tenant:acme", None),
        (claims(), "orders:acme", None),
        (claims(tenant_id=None), "tenant:acme", Access()),
        (claims(tenant_id=None, role="anon"), "tenant:default", Access()),
        (SERVICE, "tenant:acme", ALL),
        (claims(role="service_role"), "tenant:globex", Access()),
    ],
)
async def test_a_tenants_topic_opens_to_that_tenant_only(who: Claims, topic: str, access: Access | None) -> None:
    assert await TenantTopics().read(who, topic, wants_presence=True) == access


async def test_only_a_service_broadcasts_on_a_tenants_own_topics() -> None:
    may = TenantTopics().write

    assert await may(claims(), "tenant:acme", extension="broadcast") is False
    assert await may(claims(), "tenant:acme", extension="presence") is True
    assert await may(claims(), "tenant:globex", extension="presence") is False
    assert await may(claims(role="service_role"), "tenant:acme", extension="broadcast") is True
    assert await may(claims(role="service_role"), "tenant:globex", extension="broadcast") is False
    assert await may(claims(), "chat", extension="broadcast") is None


async def test_members_use_every_other_topic_of_their_tenant_and_strangers_none() -> None:
    for who in (claims(), SERVICE):
        assert await MemberTopics().read(who, "chat", wants_presence=False) == ALL
        assert await MemberTopics().write(who, "chat", extension="broadcast") is True
    assert await MemberTopics().read(claims(tenant_id=None), "chat", wants_presence=False) is None
    assert await MemberTopics().write(claims(tenant_id=None), "chat", extension="broadcast") is None


@pytest.mark.parametrize(
    ("who", "topic", "tenant_id"),
    [
        (claims(), "chat", "acme"),
        (claims(), "tenant:globex", "acme"),
        (claims(tenant_id=None), "chat", "default"),
        (claims(tenant_id=None), "tenant:globex", "default"),
        (SERVICE, "chat", "default"),
        (SERVICE, "tenant:globex:orders", "globex"),
        (SERVICE, "tenant:", "default"),
    ],
)
def test_nobody_but_a_service_gets_into_another_tenants_namespace(who: Claims, topic: str, tenant_id: str) -> None:
    assert private_key(who, topic) == TopicKey(tenant_id, True, topic)
