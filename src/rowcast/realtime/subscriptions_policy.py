"""The topics of declared channels: whoever may subscribe to one may hear its topic too, and nobody else."""

from collections.abc import Mapping

from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, ChannelPolicy, Extension, Fault
from rowcast.realtime.subscriptions import DeclaredChannel, claims_of, opens


class DeclaredChannelPolicy:
    """Decides for topics `<name>:<value>` of declared channels. Any other topic is somebody else's."""

    __slots__ = ("_channels",)

    def __init__(self, channels: Mapping[str, DeclaredChannel]) -> None:
        """Take the declared channels by name."""
        self._channels = channels

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault | None:
        """Give that the topic may be heard, where the token names its value; presence is not part of it."""
        name, colon, value = topic.partition(":")
        channel = self._channels.get(name)
        if channel is None or not colon:
            return None
        return Access(reads_broadcast=opens(channel, claims_of(claims.document), value))

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | Fault | None:
        """Give that nobody speaks there: what is heard on it comes from the server."""
        name, colon, _ = topic.partition(":")
        return False if colon and name in self._channels else None


_: type[ChannelPolicy] = DeclaredChannelPolicy
