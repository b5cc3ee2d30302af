"""Names of tenants beside the token: who is asked, in which order, and what is no name."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.core.ids import TENANT_ID_PATTERN
from rowcast.realtime.tenancy import Source, Tenancy, Visit, may_become_split, named_tenant, split_path

BY_HOST = Tenancy(("host",), "rt.example.com")


def named(visit: Visit, *sources: Source) -> str | None:
    return named_tenant(Tenancy(sources, "rt.example.com"), visit)


def test_only_sources_that_were_chosen_are_asked() -> None:
    everywhere = Visit(host="h.rt.example.com", header="x", path="p")

    assert named(everywhere, "claim") is None
    assert named(everywhere, "header") == "x"
    assert named(everywhere, "path") == "p"
    assert named(everywhere, "host") == "h"


def test_the_first_that_says_something_counts() -> None:
    everywhere = Visit(host="h.rt.example.com", header="x", path="p")

    assert named(everywhere, "host", "header", "path") == "h"
    assert named(everywhere, "claim", "path", "host") == "p"
    assert named(Visit(host="h.rt.example.com"), "header", "path", "host") == "h"
    assert named(Visit(), "header", "path", "host") is None


@pytest.mark.parametrize(
    ("host", "tenant_id"),
    [
        ("acme.rt.example.com", "acme"),
        ("ACME.RT.example.COM", "acme"),
        ("acme.rt.example.com:7400", "acme"),
        ("acme.rt.example.com.", "acme"),
        ("acme.rt.example.com.:443", "acme"),
        ("xn--mnchen-3ya.rt.example.com", "xn--mnchen-3ya"),
        ("a" * 63 + ".rt.example.com", "a" * 63),
        ("rt.example.com", None),
        ("acme.example.com", None),
        ("acmert.example.com", None),
        ("acme.rt.example.com.evil.example", None),
        ("localhost:7400", None),
        ("127.0.0.1", None),
        ("127.0.0.1:7400", None),
        ("[::1]:7400", None),
        ("", None),
    ],
)
def test_the_label_before_the_domain_names_the_tenant_and_nothing_else_does(host: str, tenant_id: str | None) -> None:
    assert named_tenant(BY_HOST, Visit(host=host)) == tenant_id


@pytest.mark.parametrize(
    "host",
    [
        "a.b.rt.example.com",
        ".rt.example.com",
        "..rt.example.com",
        "-acme.rt.example.com",
        "_.rt.example.com",
        "a" * 64 + ".rt.example.com",
        "m\u00fcnchen.rt.example.com",
        "acme.rt.example.com, globex.rt.example.com",
        "acme.rt.example.com, evil.example",
        "acme.rt.example.com:7400:1",
        "acme.rt.example.com:port",
        "user@acme.rt.example.com",
        "acme.rt.example.com/x",
        "acme.rt.example.com\n",
        "acme .rt.example.com",
        "\uff41cme.rt.example.com",
    ],
)
def test_a_host_that_cannot_be_read_or_has_a_bad_label_is_refused(host: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        named_tenant(BY_HOST, Visit(host=host))
    assert refused.value.code == "input.tenant"


BAD = [
    "",
    " ",
    "a:b",
    "a b",
    "acme, globex",
    "acme,acme",
    "%61cme",
    ".",
    "-a",
    "a" * 129,
    "\u0430cme",
    "a\x00",
    "a\n",
    "*",
]


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("source", ["header", "path"])
def test_a_header_or_a_path_that_is_no_name_is_refused_and_says_where(source: Source, name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"the {source}") as refused:
        named(Visit(header=name, path=name), source)
    assert refused.value.code == "input.tenant"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_from_a_source_that_is_not_asked_is_nobodys_business(name: str) -> None:
    assert named(Visit(header=name, path=name, host=name), "claim") is None


@settings(deadline=None)
@given(st.text(), st.text(), st.text())
def test_whatever_comes_is_a_name_or_none_or_refused(host: str, header: str, path: str) -> None:
    try:
        found = named(Visit(host=host, header=header, path=path), "host", "header", "path")
    except InvalidInputError:
        return
    assert found is not None
    assert TENANT_ID_PATTERN.match(found)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/t/acme/socket/websocket", ("acme", b"/socket/websocket")),
        (b"/t/acme/", ("acme", b"/")),
        (b"/t//socket", ("", b"/socket")),
        (b"/t/%61/x", ("%61", b"/x")),
        (b"/t/a/t/b/x", ("a", b"/t/b/x")),
        (b"/t/acme", None),
        (b"/t/acme?x=/", None),
        (b"/t/acme HTTP/1.1", None),
        (b"/tt/acme/", None),
        (b"//t/acme/", None),
        (b"/T/acme/", None),
    ],
)
def test_a_tenants_path_is_its_name_and_the_path_behind(path: bytes, found: tuple[str, bytes] | None) -> None:
    assert split_path(path) == found


@settings(deadline=None)
@given(st.binary(max_size=12))
def test_a_path_is_split_only_where_its_beginnings_might_have_been(rest: bytes) -> None:
    path = b"/t/" + rest
    if split_path(path) is not None:
        name = len(b"/t/") + rest.index(b"/")
        assert all(may_become_split(path[:length]) for length in range(name + 1))


@pytest.mark.parametrize("start", [b"/x", b"/t?", b"/t/a b", b"/t/a?", b"/t/a/b"])
def test_a_path_that_is_decided_cannot_become_one(start: bytes) -> None:
    assert not may_become_split(start)
