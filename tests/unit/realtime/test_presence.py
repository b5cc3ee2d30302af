"""Who is on which topic: one view on all nodes, whatever was lost and in whatever order the rest came."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.realtime.messages import TopicKey
from rowcast.realtime.presence import Followed, PresenceTimes, Roster
from rowcast.realtime.presence_messages import Announced, Changed, Message, Wanted, Whole

R, S = TopicKey("acme", True, "r"), TopicKey("acme", False, "s")
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(("track", "untrack", "lose")),
        st.sampled_from((R, S)),
        st.integers(1, 4),
        st.sampled_from((b"{}", b'{"a":1}')),
    ),
    max_size=40,
)


def refs(roster: Roster) -> dict[TopicKey, frozenset[str]]:
    return roster.seen.topics


def tell_all(rosters: list[Roster], messages: list[tuple[int, Message]], now_s: float = 0.0) -> None:
    """Deliver messages and everything that follows from them."""
    while messages:
        sender, message = messages.pop(0)
        for number, roster in enumerate(rosters):
            if number != sender:
                followed = roster.receive(message, now_s=now_s)
                messages += [(number, answer) for answer in followed.messages]


def act(roster: Roster, step: tuple[int, str, TopicKey, int, bytes]) -> Followed:
    _, what, key, owner, payload = step
    if what == "lose":
        roster.lose(key, owner, now_s=1.0)
        return Followed()
    return roster.track(key, owner, f"u{owner}", payload) if what == "track" else roster.untrack(key, owner)


@settings(max_examples=200)
@given(STEPS, st.randoms(use_true_random=False), st.sets(st.integers(0, 39)))
def test_changes_of_three_nodes_in_any_order_give_the_same_view(steps, shuffler, lost) -> None:  # type: ignore[no-untyped-def]
    rosters = [Roster(f"n{number}") for number in range(3)]
    told = [(step[0], message) for step in steps for message in act(rosters[step[0]], step).messages]
    for number, roster in enumerate(rosters):
        heard = [message for index, (sender, message) in enumerate(told) if sender != number and index not in lost]
        shuffler.shuffle(heard)
        for message in heard:
            roster.receive(message, now_s=0.0)
    # What was lost is noticed by the next announcement.
    tell_all(rosters, [(n, message) for n, roster in enumerate(rosters) for message in roster.tick(now_s=2.0).messages])

    assert refs(rosters[0]) == refs(rosters[1]) == refs(rosters[2])
    assert sum(map(len, refs(rosters[0]).values())) == sum(roster.own for roster in rosters)


@settings(max_examples=200)
@given(STEPS)
def test_every_lost_presence_ends_and_no_other(steps) -> None:  # type: ignore[no-untyped-def]
    roster, kept = Roster("n"), set()
    for step in steps:
        _, what, key, owner, _ = step
        act(roster, step)
        kept = kept | {(key, owner)} if what == "track" else kept - {(key, owner)}
    roster.tick(now_s=100.0)

    assert roster.own == len(kept)
    assert sum(map(len, refs(roster).values())) == len(kept)


@settings(max_examples=100)
@given(STEPS, st.randoms(use_true_random=False))
def test_the_diffs_that_clients_hear_add_up_to_the_view(steps, shuffler) -> None:  # type: ignore[no-untyped-def]
    near, far = Roster("near"), Roster("far")
    told = [message for step in steps for message in act(far, step).messages]
    shuffler.shuffle(told)
    seen: dict[TopicKey, set[str]] = {R: set(), S: set()}
    for message in told:
        for diff in near.receive(message, now_s=0.0).diffs:
            seen[diff.key] -= {presence.ref for presence in diff.leaves}
            seen[diff.key] |= {presence.ref for presence in diff.joins}

    assert {key: frozenset(found) for key, found in seen.items() if found} == refs(near) == refs(far)


def test_a_new_payload_is_one_diff_with_the_old_ref_named() -> None:
    roster = Roster("n")
    (first,) = roster.track(R, 1, "ann", b'{"a":1}').diffs
    (again,) = roster.track(R, 1, "ann", b'{"a":2}').diffs

    assert again.leaves == first.joins
    assert again.joins[0].before == first.joins[0].ref
    assert again.joins[0].ref != first.joins[0].ref


def test_the_same_payload_again_tells_nobody_anything() -> None:
    roster = Roster("n")
    roster.track(R, 1, "ann", b"{}")

    assert roster.track(R, 1, "ann", b"{}") == Followed()
    assert roster.untrack(R, 2) == Followed()


def test_two_tabs_share_a_name_and_each_has_its_own_ref() -> None:
    roster = Roster("n")
    roster.track(R, 1, "ann", b"{}")
    roster.track(R, 2, "ann", b"{}")
    roster.untrack(R, 1)

    assert [presence.name for presence in roster.seen.on(R)] == ["ann"]


def test_a_lost_socket_is_seen_for_a_while_and_then_no_more() -> None:
    roster = Roster("n", times=PresenceTimes(grace_s=5.0))
    roster.track(R, 1, "ann", b"{}")
    roster.lose(R, 1, now_s=100.0)

    assert roster.tick(now_s=104.0).diffs == ()
    (diff,) = roster.tick(now_s=105.0).diffs
    assert [presence.name for presence in diff.leaves] == ["ann"]
    assert refs(roster) == {}


def test_who_comes_back_in_time_is_not_told_to_have_gone() -> None:
    roster = Roster("n")
    roster.track(R, 1, "ann", b"{}")
    roster.lose(R, 1, now_s=100.0)

    assert roster.track(R, 2, "ann", b"{}").diffs == ()
    assert roster.tick(now_s=200.0).diffs == ()
    assert roster.own == 1


def test_who_comes_back_with_something_new_is_a_change_and_not_a_second_presence() -> None:
    roster = Roster("n")
    (first,) = roster.track(R, 1, "ann", b"{}").diffs
    roster.lose(R, 1, now_s=100.0)
    (back,) = roster.track(R, 2, "ann", b'{"a":1}').diffs

    assert back.leaves == first.joins
    assert len(roster.seen.on(R)) == 1


def test_a_silent_node_is_forgotten_and_comes_back_whole() -> None:
    near, far = Roster("near"), Roster("far")
    tell_all([near, far], [(1, message) for message in far.track(R, 1, "ann", b"{}").messages])

    assert near.tick(now_s=9.0).diffs == ()
    (gone,) = near.tick(now_s=10.0).diffs
    assert [presence.name for presence in gone.leaves] == ["ann"]
    tell_all([near, far], [(1, message) for message in far.tick(now_s=12.0).messages], now_s=12.0)
    assert refs(near) == refs(far)


def test_after_a_partition_of_any_length_two_nodes_see_the_same_within_15_seconds() -> None:
    near, far = Roster("near"), Roster("far")
    for second in range(60):
        for number, roster in enumerate((near, far)):
            followed = roster.track(R, second + 100 * number, f"u{second}", b"{}")
            assert followed.messages
            roster.tick(now_s=float(second))
    for second in range(60, 75):
        messages = [
            (n, message)
            for n, roster in enumerate((near, far))
            for message in roster.tick(now_s=float(second)).messages
        ]
        tell_all([near, far], messages, now_s=float(second))

    assert len(near.seen.on(R)) == 120
    assert refs(near) == refs(far)


def test_a_node_that_leaves_is_forgotten_after_its_clients_had_time_to_come_back() -> None:
    near, far = Roster("near"), Roster("far")
    tell_all([near, far], [(1, message) for message in far.track(R, 1, "ann", b"{}").messages], now_s=100.0)
    tell_all([near, far], [(1, message) for message in far.end().messages], now_s=100.0)

    assert near.tick(now_s=104.0).diffs == ()
    assert len(near.tick(now_s=105.0).diffs) == 1


def test_a_new_node_asks_and_gets_everything() -> None:
    old, new = Roster("old"), Roster("new")
    for owner in range(450):
        old.track(R, owner, f"u{owner}", b"{}")
    (asked,) = new.begin().messages
    parts = old.receive(asked, now_s=5.0).messages
    diffs = [diff for part in reversed(parts) for diff in new.receive(part, now_s=5.0).diffs]

    assert len(parts) == 3
    assert len(diffs) == 1
    assert refs(new) == refs(old)


def test_everything_is_told_once_a_second_however_many_ask() -> None:
    roster = Roster("n")
    roster.track(R, 1, "ann", b"{}")
    answers = [roster.receive(Wanted("n"), now_s=50.0 + tenth / 10).messages for tenth in range(5)]

    assert [len(answer) for answer in answers] == [1, 0, 0, 0, 0]
    assert [type(message) for message in roster.tick(now_s=51.0).messages] == [Announced, Whole]
    assert roster.receive(Wanted("other"), now_s=99.0).messages == ()


def test_a_node_without_presences_says_nothing() -> None:
    roster = Roster("n")

    assert (roster.tick(now_s=99.0), roster.end()) == (Followed(), Followed())
    assert roster.receive(Wanted(""), now_s=99.0) == Followed()


def test_a_nodes_own_messages_come_back_to_it_and_change_nothing() -> None:
    roster = Roster("n")
    (told,) = roster.track(R, 1, "ann", b"{}").messages

    assert isinstance(told, Changed)
    assert roster.receive(told, now_s=0.0) == Followed()
    assert len(roster.seen.on(R)) == 1


def test_who_joins_again_on_the_same_socket_stays_and_is_nobody_elses_to_take() -> None:
    roster = Roster("n")
    roster.track(R, 1, "ann", b"{}")
    roster.lose(R, 1, now_s=100.0)

    assert roster.track(R, 1, "ann", b"{}") == Followed()
    assert roster.tick(now_s=200.0).diffs == ()
    roster.track(R, 2, "ann", b"{}")
    assert len(roster.seen.on(R)) == 2


def test_who_is_untracked_while_lost_is_gone_once() -> None:
    roster = Roster("n")
    roster.track(R, 1, "ann", b"{}")
    roster.lose(R, 1, now_s=100.0)

    assert len(roster.untrack(R, 1).diffs) == 1
    assert roster.tick(now_s=200.0).diffs == ()
    assert roster.track(R, 2, "ann", b"{}").diffs[0].leaves == ()


def test_two_lost_tabs_of_one_name_both_end() -> None:
    roster = Roster("n")
    for owner in (1, 2):
        roster.track(R, owner, "ann", b"{}")
    for owner in (1, 2):
        roster.lose(R, owner, now_s=100.0)

    assert len(roster.tick(now_s=105.0).diffs) == 2
    assert refs(roster) == {}


def test_what_comes_twice_takes_no_room_from_what_comes_too_early() -> None:
    near, far = Roster("near"), Roster("far")
    told = [message for owner in range(1100) for message in far.track(R, owner, f"u{owner}", b"{}").messages]
    for message in told[:-2]:
        near.receive(message, now_s=0.0)
        near.receive(message, now_s=0.0)
    near.receive(told[-1], now_s=0.0)
    near.receive(told[-2], now_s=0.0)

    assert refs(near) == refs(far)


def test_when_everything_is_told_again_clients_hear_only_what_is_new() -> None:
    near, far = Roster("near"), Roster("far")
    (first,) = far.track(R, 1, "ann", b"{}").messages
    near.receive(first, now_s=0.0)
    far.track(R, 2, "bob", b"{}")
    (whole,) = far.receive(Wanted("far"), now_s=5.0).messages
    (diff,) = near.receive(whole, now_s=5.0).diffs

    assert [presence.name for presence in diff.joins] == ["bob"]
    assert diff.leaves == ()


def test_a_change_that_came_before_the_whole_is_kept_for_after_it() -> None:
    near, far = Roster("near"), Roster("far")
    far.track(R, 1, "ann", b"{}")
    (whole,) = far.receive(Wanted("far"), now_s=5.0).messages
    (early,) = far.track(R, 2, "bob", b"{}").messages
    near.receive(early, now_s=5.0)
    near.receive(whole, now_s=5.0)

    assert refs(near) == refs(far)
