"""The feeds that the one suite runs over."""

from importlib.util import find_spec

from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.outbox.feed import Feed

FEEDS = ("claim", "wal") if find_spec("rowcast.capture.wal_feed") else ("claim",)


def make_feed(name: str, dsn: str, *, batch_size: int = 100, lease_s: float = 5.0) -> Feed:
    """Give a feed that is not open yet, as one process would have it."""
    if name == "claim":
        return ClaimFeed(dsn=dsn, lease_s=lease_s, batch_size=batch_size)
    from rowcast.capture.wal_feed import WalFeed

    feed: Feed = WalFeed(dsn=dsn, lease_s=lease_s, batch_size=batch_size)
    return feed
