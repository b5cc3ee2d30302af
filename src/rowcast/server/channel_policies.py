"""Who may join private channels, put together: the order in which the policies are asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rowcast.core.errors import UsageError
from rowcast.realtime.channel_policy import ChannelPolicy
from rowcast.realtime.channel_rules import ChannelRule, ChannelRules
from rowcast.realtime.owner_rules import OwnedTopic, OwnerRules, parse_owners
from rowcast.realtime.row_policies import PolicyLimits, RowPolicies
from rowcast.realtime.tenant_topics import MemberTopics, TenantTopics
from rowcast.store.pool import Database


def channel_policies(
    declared: Iterable[object], owners: Iterable[Mapping[str, Any]], *, database: Database, limits: PolicyLimits
) -> tuple[ChannelPolicy, ...]:
    """Give the policies in order: a tenant's own topics, rules in Python, declared owners, row-level security.

    A tenant's members may name further topics among themselves only where nobody has declared or written any of that.

    Args:
        declared: What packs bring as `channels`.
        owners: `[[owner]]` tables of the settings.
        database: Connections of their own, so that a slow policy holds up nothing else.
        limits: Bounds of the questions to row-level security.
    Raises:
        InvalidInputError: `input.owner` or `input.topic_template`.
        UsageError: `usage.channel`, when two rules have one template, or a pack brings something else.
    """
    rules, owned = sort_channels(declared)
    owned = (*owned, *parse_owners(owners))
    last: Sequence[ChannelPolicy] = () if rules or owned else (MemberTopics(),)
    return (
        TenantTopics(),
        ChannelRules(rules),
        OwnerRules(owned, database=database),
        RowPolicies(database=database, limits=limits),
        *last,
    )


def sort_channels(declared: Iterable[object]) -> tuple[tuple[ChannelRule, ...], tuple[OwnedTopic, ...]]:
    """Give the rules and the owned topics among what packs bring.

    Raises:
        UsageError: `usage.channel`, for anything else.
    """
    rules: list[ChannelRule] = []
    owned: list[OwnedTopic] = []
    for each in declared:
        if isinstance(each, ChannelRule):
            rules.append(each)
        elif isinstance(each, OwnedTopic):
            owned.append(each)
        else:
            raise UsageError(
                f"A pack brings {each!r:.80} among its channels; make it with @channel(...) or OwnedTopic(...).",
                code="usage.channel",
            )
    return tuple(rules), tuple(owned)
