"""The horizon against a model of PostgreSQL: numbers drawn, held back, prepared, committed late or never."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.outbox.claim_session import low_bounds, positions_after
from rowcast.outbox.horizon import Horizon

TRANSACTIONS = ("3/1", "4/1", "5/1", "6/1")
STEPS = st.lists(
    st.tuples(st.sampled_from(("draw", "draw", "commit", "abort", "prepare", "look")), st.sampled_from(TRANSACTIONS)),
    max_size=80,
)


@dataclass
class Server:
    """What the server does: a sequence, transactions that hold the table's lock, and what is visible."""

    last_seq: int = 0
    held: dict[str, list[int]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    visible: set[int] = field(default_factory=set)
    ended: int = 0

    def do(self, act: str, who: str) -> None:
        name = self.names.get(who)
        if act == "draw" and (name is None or not name.startswith("-1/")):
            name = self.names.setdefault(who, f"{who}{self.ended}")
            self.last_seq += 1
            self.held.setdefault(name, []).append(self.last_seq)
        elif act == "prepare" and name is not None and not name.startswith("-1/"):
            self.names[who] = f"-1/{who}{self.ended}"
            self.held[self.names[who]] = self.held.pop(name)
        elif act in ("commit", "abort") and name is not None:
            numbers = self.held.pop(name)
            self.visible |= set(numbers) if act == "commit" else set()
            del self.names[who]
            self.ended += 1


@dataclass
class Reader:
    """Reads as a claim session does, but can be interrupted between its three looks."""

    server: Server
    limit: int
    horizon: Horizon = field(default_factory=lambda: Horizon(0))
    at: dict[int, int] = field(default_factory=lambda: {0: 1})
    settled: list[int] = field(default_factory=list)
    decided: list[tuple[int, int]] = field(default_factory=list)
    phase: int = 0
    seen: int = 0

    def look(self) -> None:
        if self.phase == 0:
            self.seen = self.server.last_seq
        elif self.phase == 1:
            self.horizon.observe(self.seen, frozenset(self.server.held))
            self.at = {0: min(self.at[0], self.horizon.arrivals_from)}
        else:
            self._claim()
        self.phase = (self.phase + 1) % 3

    def _claim(self) -> None:
        found = sorted(seq for seq in self.server.visible if seq >= self.at[0] and seq not in self.settled)[
            : self.limit
        ]
        self.settled += found
        self.at = positions_after(self.at, found[-1] if len(found) == self.limit else None, self.horizon.last_seq)
        self.decided.append((low_bounds(self.at, self.horizon.decided_seq)[0][0], len(self.settled)))


@settings(max_examples=400, deadline=None)
@given(STEPS, st.integers(1, 5))
def test_nothing_that_commits_is_ever_passed_over(steps: list[tuple[str, str]], limit: int) -> None:
    server = Server()
    reader = Reader(server, limit)
    for act, who in steps:
        reader.look() if act == "look" else server.do(act, who)
    for who in TRANSACTIONS:
        server.do("commit", who)
    for _ in range(3 * (server.last_seq + 3)):
        reader.look()

    assert set(reader.settled) == server.visible
    assert len(reader.settled) == len(server.visible)
    assert reader.horizon.decided_seq == server.last_seq


@settings(max_examples=400, deadline=None)
@given(STEPS, st.integers(1, 5))
def test_nothing_ever_appears_below_the_low_bound(steps: list[tuple[str, str]], limit: int) -> None:
    server = Server()
    reader = Reader(server, limit)
    for act, who in [*steps, *(("commit", who) for who in TRANSACTIONS), *(("look", ""),) * 100]:
        reader.look() if act == "look" else server.do(act, who)

    for low_seq, already in reader.decided:
        assert [seq for seq in reader.settled[already:] if seq < low_seq] == []


def test_a_long_transaction_holds_the_bound_and_nothing_else() -> None:
    horizon = Horizon(0)
    horizon.observe(10, frozenset({"long"}))
    horizon.observe(500, frozenset({"long", "short"}))
    horizon.observe(900, frozenset({"long"}))

    assert horizon.decided_seq == 0
    assert horizon.arrivals_from == 11, "from where `short` may have written, not from where `long` began"


def test_when_the_long_transaction_ends_its_whole_stretch_is_read_again() -> None:
    horizon = Horizon(0)
    horizon.observe(10, frozenset())
    horizon.observe(20, frozenset({"long"}))
    horizon.observe(900, frozenset({"long"}))
    horizon.observe(900, frozenset())

    assert horizon.arrivals_from == 11
    assert horizon.decided_seq == 900


def test_a_prepared_transaction_keeps_the_place_that_it_had_under_its_old_name() -> None:
    horizon = Horizon(0)
    horizon.observe(10, frozenset({"4/7"}))
    horizon.observe(99, frozenset({"-1/812"}))

    assert horizon.decided_seq == 0


def test_when_nothing_was_drawn_and_nobody_ended_nothing_can_have_arrived() -> None:
    horizon = Horizon(0)
    horizon.observe(10, frozenset({"4/7"}))
    horizon.observe(10, frozenset({"4/7"}))

    assert horizon.arrivals_from > horizon.last_seq
