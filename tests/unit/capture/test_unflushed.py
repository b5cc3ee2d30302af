from hypothesis import given
from hypothesis import strategies as st

from rowcast.capture.unflushed import Unflushed


def test_the_log_is_kept_until_the_commit_is_on_disk() -> None:
    unflushed = Unflushed()
    unflushed.add(100)

    assert unflushed.look(written_lsn=250, flushed_lsn=249) == 0
    assert not unflushed.is_empty
    assert unflushed.look(written_lsn=300, flushed_lsn=250) == 100
    assert unflushed.is_empty


def test_a_commit_noted_after_the_look_waits_for_the_next_one() -> None:
    unflushed = Unflushed()
    unflushed.add(100)
    unflushed.look(written_lsn=200, flushed_lsn=0)
    unflushed.add(110)

    assert unflushed.look(written_lsn=400, flushed_lsn=300) == 100
    assert unflushed.look(written_lsn=400, flushed_lsn=400) == 110


def test_nothing_settled_lets_go_of_nothing() -> None:
    assert Unflushed().look(written_lsn=10, flushed_lsn=10) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 50)), max_size=60))
def test_a_position_is_let_go_of_only_when_what_was_written_after_its_commit_is_on_disk(
    steps: list[tuple[int, int]],
) -> None:
    unflushed, written, flushed, commits = Unflushed(), 0, 0, []

    for kind, size in steps:
        if kind == 0:
            written += size
            commits.append((len(commits) + 1, written))
            unflushed.add(commits[-1][0])
        elif kind == 1:
            flushed = min(written, flushed + size)
        else:
            let_go = unflushed.look(written, flushed)
            assert all(commit_lsn <= flushed for position, commit_lsn in commits if position <= let_go)
