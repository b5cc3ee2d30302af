"""The rules for private topics that need no database: a tenant's own topics, and what its members may name freely."""

from rowcast.core.errors import InvalidTopicError
from rowcast.core.topic import parse_topic
from rowcast.realtime.authorize import DEFAULT_TENANT, Claims
from rowcast.realtime.channel_policy import Access, ChannelPolicy, Extension
from rowcast.realtime.messages import TopicKey

_PREFIX = "tenant:"


class TenantTopics:
    """Opens `tenant:<id>...` to that tenant only. Clients do not broadcast there: what is heard comes from rowcast."""

    __slots__ = ()

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | None:
        """Give what `claims` may hear on a tenant's topic; None for any other topic."""
        if not topic.startswith(_PREFIX):
            return None
        is_open = _is_own(claims, topic)
        return Access(reads_broadcast=is_open, reads_presence=is_open)

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | None:
        """Tell whether `claims` may say something on a tenant's topic; None for any other topic."""
        if not topic.startswith(_PREFIX):
            return None
        return _is_own(claims, topic) and (claims.is_service or extension == "presence")


class MemberTopics:
    """Opens every other topic of a tenant to all of its members. Leave it out where policies say who may join what."""

    __slots__ = ()

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | None:
        """Give what a member may hear; None for whoever is no member."""
        return Access(reads_broadcast=True, reads_presence=True) if _is_member(claims) else None

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | None:
        """Tell that a member may say anything; None for whoever is no member."""
        return True if _is_member(claims) else None


def private_key(claims: Claims, topic: str) -> TopicKey:
    """Give the private namespace of `claims` in which `topic` is. Two tenants that use one name never meet."""
    named = _named_tenant(topic) if claims.tenant_id is None and claims.is_service else None
    return TopicKey(claims.tenant_id or named or DEFAULT_TENANT, True, topic)


def _is_member(claims: Claims) -> bool:
    return claims.tenant_id is not None or claims.is_service


def _is_own(claims: Claims, topic: str) -> bool:
    named = _named_tenant(topic)
    return named is not None and (named == claims.tenant_id or (claims.tenant_id is None and claims.is_service))


def _named_tenant(topic: str) -> str | None:
    try:
        return parse_topic(topic).tenant_id if topic.startswith(_PREFIX) else None
    except InvalidTopicError:
        return None


_CONTRACT: tuple[type[ChannelPolicy], ...] = (TenantTopics, MemberTopics)
