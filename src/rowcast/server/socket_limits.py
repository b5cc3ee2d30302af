"""The limits of sockets, from the settings."""

from math import ceil

import msgspec

from rowcast.realtime.hub import HubLimits
from rowcast.realtime.limits import RealtimeLimits
from rowcast.realtime.presence import PresenceTimes
from rowcast.server.socket_settings import LimitSettings

_ENVELOPE_BYTES = 500


def tenant_limits(asked: LimitSettings) -> RealtimeLimits:
    """Give what each tenant may do on one node."""
    return RealtimeLimits(
        users=asked.users,
        connections_per_user=asked.connections_per_user,
        joins_per_s=asked.joins_per_s,
        events_per_s=asked.events_per_s,
        presences_per_s=asked.presences_per_s,
        channels_per_socket=asked.channels_per_socket,
        presence_calls=asked.presence_calls,
        presence_window_s=asked.presence_window_s,
        # Counted as the stock server does: thousands, and something for what is around the payload.
        payload_bytes=asked.payload_kb * 1000 + _ENVELOPE_BYTES,
        presence_bytes=asked.presence_kb * 1000 + _ENVELOPE_BYTES,
        is_private_only=asked.private_only,
        is_presence_on=asked.presence_enabled,
    )


def worker_share(limits: RealtimeLimits, *, workers: int) -> RealtimeLimits:
    """Give what each tenant may do on one of `workers` processes, so that all of them together keep to `limits`.

    The system deals connections out evenly, so a tenant with many sockets has the whole; counts are rounded up, so that
    nobody is shut out, and exceed the whole by less than one for each worker.
    """
    return msgspec.structs.replace(
        limits,
        users=ceil(limits.users / workers),
        connections_per_user=ceil(limits.connections_per_user / workers),
        joins_per_s=limits.joins_per_s / workers,
        events_per_s=limits.events_per_s / workers,
        presences_per_s=limits.presences_per_s / workers,
    )


def hub_limits(asked: LimitSettings) -> HubLimits:
    """Give the bounds of this process."""
    return HubLimits(presence=PresenceTimes(grace_s=asked.presence_grace_s))
