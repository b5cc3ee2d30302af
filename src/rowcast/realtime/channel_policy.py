"""The contract of whoever says what a private channel may hear and say. Without an answer everything is denied."""

from typing import Literal, Protocol

import msgspec

from rowcast.realtime.authorize import Claims

Extension = Literal["broadcast", "presence"]
"""The two kinds of traffic on a channel that a policy tells apart."""


class Access(msgspec.Struct, frozen=True):
    """What a channel may hear. Neither of both: it may not be joined."""

    reads_broadcast: bool = False
    reads_presence: bool = False


class Fault(msgspec.Struct, frozen=True):
    """Why it could not be found out, in the words that clients know."""

    text: str


class ChannelPolicy(Protocol):
    """Decides about private topics, named without `realtime:`. None means: ask the next policy."""

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault | None:
        """Give what `claims` may hear on a topic."""
        ...

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool | Fault | None:
        """Tell whether `claims` may say something on a topic."""
        ...
