"""The limits of sockets come from the settings."""

from rowcast.realtime.limits import RealtimeLimits
from rowcast.server.socket_limits import hub_limits, tenant_limits, worker_share
from rowcast.server.socket_settings import LimitSettings


def test_the_defaults_of_the_settings_are_those_of_the_sockets() -> None:
    assert tenant_limits(LimitSettings()) == RealtimeLimits(presence_bytes=64_500)
    assert hub_limits(LimitSettings()).presence.grace_s == 5.0


def test_every_setting_arrives() -> None:
    asked = LimitSettings(
        users=1,
        connections_per_user=2,
        joins_per_s=3,
        events_per_s=4,
        presences_per_s=5,
        channels_per_socket=6,
        payload_kb=7,
        presence_calls=8,
        presence_window_s=9,
        presence_kb=10,
        presence_grace_s=11,
        private_only=True,
        presence_enabled=True,
    )

    assert tenant_limits(asked) == RealtimeLimits(1, 2, 3.0, 4.0, 5.0, 6, 8, 9.0, 7_500, 10_500, True, True)
    assert hub_limits(asked).presence.grace_s == 11


def test_the_shares_of_all_workers_are_together_the_limit() -> None:
    whole = RealtimeLimits(
        users=9, connections_per_user=3, joins_per_s=1.0, events_per_s=2.0, presences_per_s=3.0, channels_per_socket=6
    )
    share = worker_share(whole, workers=4)

    assert (share.users, share.connections_per_user) == (3, 1)
    assert (share.joins_per_s, share.events_per_s, share.presences_per_s) == (0.25, 0.5, 0.75)
    assert share.channels_per_socket == 6
    assert worker_share(whole, workers=1) == whole


def test_no_limit_has_no_share() -> None:
    none = RealtimeLimits(users=0, connections_per_user=0, joins_per_s=0.0, events_per_s=0.0, presences_per_s=0.0)

    assert worker_share(none, workers=8) == none
