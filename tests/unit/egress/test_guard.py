"""The guard, as tables: what must be blocked, what must be let through, and the odd spellings in between."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.egress.guard import Policy, Url, blocked_reason, check_url, is_blocked, parse_url
from rowcast.egress.terms import parse_networks

MUST_BLOCK = (
    "0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 "
    "127.255.255.254 168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 "
    "192.0.0.9 192.0.0.10 192.0.0.192 192.0.2.1 192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 "
    "198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 "
    "::127.0.0.1 ::a00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0:7f00:1 "
    "64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::a00:1 100::1 "
    "100:0:0:1::1 2001::1 2001:0:4136:e378::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1 "
    "2002:a00:1::1 2002:a9fe:a9fe::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fdff::1 fe80::1 fe80::1%eth0 "
    "febf::1 fec0::1 ff02::1 ff0e::1 4000::1 1::1 2606:4700::1%eth0"
).split()
MUST_ALLOW = (
    "1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.1 126.255.255.255 128.0.0.1 "
    "168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.1 172.15.255.255 172.32.0.1 192.0.1.1 "
    "192.0.3.1 192.88.98.1 192.167.255.255 192.169.0.1 198.17.255.255 198.20.0.1 198.51.99.1 198.51.101.1 "
    "203.0.112.1 203.0.114.1 223.255.255.255 ::ffff:8.8.8.8 2001:200::1 2001:4860:4860::8888 "
    "2606:4700:4700::1111 2a00:1450::1 2003::1 2400:cb00::1 3ffe::1 2620:fe::fe"
).split()
OPEN = Policy(allow_http=True)


@pytest.mark.parametrize("address", MUST_BLOCK)
def test_address_inside_is_blocked(address: str) -> None:
    assert blocked_reason(address) is not None


@pytest.mark.parametrize("address", MUST_ALLOW)
def test_public_address_is_let_through(address: str) -> None:
    assert blocked_reason(address) is None


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "1.2.3", "0177.0.0.1", "0x7f.0.0.1", "1.1.1.1/24", "[::1]", " 1.1.1.1", "1.1.1.1\n", "①.1.1.1"],
)
def test_what_is_no_address_is_blocked(text: str) -> None:
    assert blocked_reason(text) is not None


@given(st.ip_addresses(v=4))
def test_mapped_address_is_judged_as_the_address_it_maps(address: object) -> None:
    assert (blocked_reason(f"::ffff:{address}") is None) is (blocked_reason(str(address)) is None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("http://2130706433/", "input.url"),
        ("http://0x7f000001/", "input.url"),
        ("http://0x7f.1/", "input.url"),
        ("http://0177.0.0.1/", "input.url"),
        ("http://127.1/", "input.url"),
        ("http://127.0.1/", "input.url"),
        ("http://0/", "input.url"),
        ("http://127.0.0.01/", "input.url"),
        ("http://127.0.0.1./", "input.url"),
        ("http://localhost./", "input.url"),
        ("http://example.com./", "input.url"),
        ("http://a.0x/", "input.url"),
        ("http://①②⑦.⓪.⓪.①/", "egress.blocked"),
        ("http://127。0。0。1/", "egress.blocked"),
        ("http://１２７.0.0.1/", "egress.blocked"),
        ("http://ｌｏｃａｌｈｏｓｔ/", "egress.blocked"),
        ("http://127.0.0.1/", "egress.blocked"),
        ("http://10.1.2.3/", "egress.blocked"),
        ("http://[::1]/", "egress.blocked"),
        ("http://[::ffff:127.0.0.1]/", "egress.blocked"),
        ("http://[::ffff:7f00:1]/", "egress.blocked"),
        ("http://[0:0:0:0:0:ffff:127.0.0.1]/", "egress.blocked"),
        ("http://[64:ff9b::7f00:1]/", "egress.blocked"),
        ("http://[fe80::1%25eth0]/", "input.url"),
        ("http://[fe80::1%eth0]/", "input.url"),
        ("http://[::1/", "input.url"),
        ("http://[::1]x/", "input.url"),
        ("http://[1.2.3.4]/", "input.url"),
        ("http://localhost/", "egress.blocked"),
        ("http://LOCALHOST/", "egress.blocked"),
        ("http://a.localhost/", "egress.blocked"),
        ("http://intranet/", "egress.blocked"),
        ("http://metadata.google.internal/", "egress.blocked"),
        ("http://printer.local/", "egress.blocked"),
        ("http://exa\tmple.com/", "input.url"),
        ("http://exa\rmple.com/", "input.url"),
        ("http://exa\nmple.com/", "input.url"),
        ("http://example.com/\r\nX: y", "input.url"),
        (" http://example.com/", "input.url"),
        ("http://example.com/ ", "input.url"),
        ("http://exam\x00ple.com/", "input.url"),
        ("http://exam\xa0ple.com/", "input.url"),
        ("http://user@example.com/", "input.url"),
        ("http://user:pw@example.com/", "input.url"),
        ("http://example.com@127.0.0.1/", "input.url"),
        ("http://127.0.0.1\\@example.com/", "input.url"),
        ("http://example.com\\.evil.com/", "input.url"),
        ("http://example.com#@127.0.0.1/", "input.url"),
        ("http://example.com/#x", "input.url"),
        ("http://%31%32%37.0.0.1/", "input.url"),
        ("http://exam%70le.com/", "input.url"),
        ("ftp://example.com/", "input.url"),
        ("file:///etc/passwd", "input.url"),
        ("gopher://example.com/", "input.url"),
        ("//example.com/", "input.url"),
        ("example.com", "input.url"),
        ("", "input.url"),
        ("http://", "input.url"),
        ("http:///x", "input.url"),
        ("http:example.com", "input.url"),
        ("javascript:alert(1)", "input.url"),
        ("http://example.com:0/", "input.url"),
        ("http://example.com:65536/", "input.url"),
        ("http://example.com:/", "input.url"),
        ("http://example.com:-1/", "input.url"),
        ("http://example.com:80:80/", "input.url"),
        ("http://example.com:٨٠/", "input.url"),
        ("http://example.com:22/", "egress.blocked"),
        ("http://example.com:5432/", "egress.blocked"),
        ("http://ex..com/", "input.url"),
        ("http://-a.com/", "input.url"),
        ("http://a-.com/", "input.url"),
        ("http://" + "a" * 64 + ".com/", "input.url"),
        ("http://" + "a." * 127 + "com/", "input.url"),
        ("http://example.com/" + "a" * 2040, "input.url"),
        ("http://example.com/ü", "input.url"),
        ("http://example.com/<x>", "input.url"),
        ("http://example.com/a\\b", "input.url"),
        ("http://xn--\u0130.com/", "input.url"),
    ],
)
def test_url_that_must_not_be_posted_to_is_refused_with_its_code(text: str, code: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_url(text, OPEN)

    assert refusal.value.code == code
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("https://hooks.example.com", "https://hooks.example.com/"),
        ("HTTPS://Hooks.Example.COM:443/A?b=c", "https://hooks.example.com/A?b=c"),
        ("https://example.com:8443/x", "https://example.com:8443/x"),
        ("https://example.com?x=1", "https://example.com/?x=1"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://[2606:4700:4700::1111]:8443/", "https://[2606:4700:4700::1111]:8443/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://Bücher。example/", "https://xn--bcher-kva.example/"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
        ("https://1.example.com/", "https://1.example.com/"),
        ("https://example.com/a%20b/../c?q=%00&r=@:", "https://example.com/a%20b/../c?q=%00&r=@:"),
        ("https://example.com:0443/", "https://example.com/"),
    ],
)
def test_url_that_may_be_posted_to_has_one_canonical_text(text: str, canonical: str) -> None:
    url = check_url(text, OPEN)

    assert url.text == canonical
    assert parse_url(canonical) == url


@given(st.text(max_size=40))
def test_any_host_is_refused_or_made_plain(host: str) -> None:
    try:
        url = check_url(f"https://{host}/", OPEN)
    except InvalidInputError as refusal:
        assert refusal.code in {"input.url", "egress.blocked"}
        return

    assert url.host.isascii()
    assert url.host == url.host.lower()


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0"])
def test_spellings_that_this_machine_reads_as_an_address_never_pass(spelling: str) -> None:
    packed = socket.inet_aton(spelling)

    assert packed[0] in (0, 127)
    with pytest.raises(InvalidInputError):
        check_url(f"https://{spelling}/", OPEN)


def test_plain_http_is_blocked_unless_allowed() -> None:
    with pytest.raises(InvalidInputError, match="https") as refusal:
        check_url("http://example.com/", Policy())

    assert refusal.value.code == "egress.blocked"
    assert check_url("http://example.com/", OPEN) == Url("http", "example.com", 80, "/")


def test_exemption_is_for_exactly_one_host_and_port() -> None:
    policy = Policy(allowed=frozenset({("127.0.0.1", 8911)}))

    assert check_url("http://127.0.0.1:8911/catch", policy).port == 8911
    for near in (
        "http://127.0.0.1:8912/",
        "http://127.0.0.2:8911/",
        "http://localhost:8911/",
        "http://[::1]:8911/",
        "http://127.0.0.1/",
    ):
        with pytest.raises(InvalidInputError):
            check_url(near, policy)


def test_address_is_judged_for_the_url_it_is_connected_for() -> None:
    policy = Policy(allowed=frozenset({("127.0.0.1", 8911)}))

    assert not is_blocked("127.0.0.1", url=Url("http", "127.0.0.1", 8911, "/"), policy=policy)
    assert is_blocked("127.0.0.1", url=Url("https", "rebound.example.com", 8911, "/"), policy=policy)
    assert not is_blocked("8.8.8.8", url=Url("https", "example.com", 443, "/"), policy=policy)


def test_refused_credentials_say_where_they_belong() -> None:
    with pytest.raises(InvalidInputError, match="send credentials in a header"):
        check_url("https://user:pw@example.com/", OPEN)


INSIDE = Policy(
    networks=parse_networks(
        ["10.1.0.0/16", "fd00:1::/64", "169.254.0.0/16", "127.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "64:ff9b::/96"]
    )
)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "fd00:1::5", "::ffff:10.1.2.3", "127.0.0.1", "100.100.1.1", "64:ff9b::a01:203"]
)
def test_address_in_a_network_of_the_tenant_is_let_through(address: str) -> None:
    url = parse_url("https://hooks.example.com/")

    assert not is_blocked(address, url=url, policy=INSIDE)
    assert is_blocked(address, url=url, policy=Policy())


@pytest.mark.parametrize(
    "address",
    [
        "10.2.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "x",
        "10.1.2.3%a",
        "100.100.100.200",
        "192.0.0.192",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::6464:64c8",
        "::ffff:100.100.100.200",
    ],
)
def test_address_outside_of_it_and_those_that_no_list_opens_stay_blocked(address: str) -> None:
    assert is_blocked(address, url=parse_url("https://hooks.example.com/"), policy=INSIDE)


def test_urls_inside_the_networks_of_a_tenant_can_be_used_on_the_open_ports() -> None:
    assert check_url("https://10.1.2.3/", INSIDE).host == "10.1.2.3"
    assert check_url("https://hooks.corp.internal/", INSIDE).host == "hooks.corp.internal"
    for text in ("https://10.2.0.1/", "https://10.1.2.3:22/", "http://10.1.2.3/", "https://169.254.169.254/"):
        with pytest.raises(InvalidInputError) as refusal:
            check_url(text, INSIDE)
        assert refusal.value.code == "egress.blocked"


def test_each_tenant_has_its_own_networks_and_those_of_all() -> None:
    one, every = parse_networks(["10.1.0.0/16"]), parse_networks(["10.9.0.0/16"])
    policy = Policy(tenant_networks={"acme": one, "*": every})

    assert set(policy.networks_of("acme")) == {*one, *every}
    assert policy.for_tenant("beta").networks == every
    assert Policy().for_tenant("acme").networks == ()
