"""One exchange on one handle."""

import socket
from collections.abc import Iterator

import certifi
import pycurl
import pytest

from rowcast.egress.guard import Policy, parse_url
from rowcast.egress.reply import EgressFailure, EgressSettings
from rowcast.egress.transfer import Request, Transfer


@pytest.fixture
def transfer() -> Iterator[Transfer]:
    made = Transfer(settings=EgressSettings(), policy=Policy(), ca_file=certifi.where())
    made.prepare(Request(parse_url("https://hooks.example.com/"), [], b"{}", ("8.8.8.8", "2606:4700::1"), 1.0))
    yield made
    made.close_copies()
    made.curl.close()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (pycurl.E_OPERATION_TIMEDOUT, "timeout"),
        (pycurl.E_COULDNT_RESOLVE_HOST, "dns"),
        (pycurl.E_COULDNT_CONNECT, "refused"),
        (pycurl.E_PEER_FAILED_VERIFICATION, "tls"),
        (pycurl.E_GOT_NOTHING, "reset"),
        (pycurl.E_WRITE_ERROR, "too_large"),
        (pycurl.E_UNSUPPORTED_PROTOCOL, "protocol"),
        (0, "protocol"),
    ],
)
def test_error_of_libcurl_has_its_kind(transfer: Transfer, error: int, kind: str) -> None:
    answer = transfer.finish(error, "what libcurl said")

    assert isinstance(answer, EgressFailure)
    assert (answer.kind, answer.status, answer.text) == (kind, None, "what libcurl said")


def test_socket_to_an_address_inside_is_not_opened_and_the_failure_says_so(transfer: Transfer) -> None:
    place = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, ("127.0.0.1", 443))

    assert transfer._open_socket(0, place) == pycurl.SOCKET_BAD
    failure = transfer.finish(pycurl.E_COULDNT_CONNECT, "")
    assert isinstance(failure, EgressFailure)
    assert failure.kind == "blocked"


def test_socket_of_another_family_is_not_opened(transfer: Transfer) -> None:
    place = (socket.AF_UNIX, socket.SOCK_STREAM, 0, b"/var/run/docker.sock")

    assert transfer._open_socket(0, place) == pycurl.SOCKET_BAD


def test_socket_to_a_public_address_is_opened_and_our_copy_is_closed(transfer: Transfer) -> None:
    opened = transfer._open_socket(0, (socket.AF_INET, socket.SOCK_STREAM, 6, ("8.8.8.8", 443)))

    assert opened.fileno() >= 0
    transfer.close_copies()
    assert opened.fileno() == -1


def test_next_request_on_a_handle_begins_clean(transfer: Transfer) -> None:
    transfer._open_socket(0, (socket.AF_INET, socket.SOCK_STREAM, 6, ("10.0.0.1", 443)))
    transfer.prepare(Request(parse_url("https://hooks.example.com/"), [], b"{}", (), 1.0))

    failure = transfer.finish(pycurl.E_COULDNT_CONNECT, "")

    assert isinstance(failure, EgressFailure)
    assert failure.kind == "refused"
