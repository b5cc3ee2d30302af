"""One HTTP exchange on one libcurl handle. Lives on the wire's thread only."""

import socket
from typing import Any

import msgspec
import pycurl

from rowcast.egress.guard import Policy, Url, is_blocked
from rowcast.egress.reply import Answer, EgressFailure, EgressSettings, FailureKind, Reply, Timings, parse_headers
from rowcast.egress.terms import NO_TERMS, Terms

_KINDS: dict[int, FailureKind] = {
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_COULDNT_RESOLVE_HOST: "dns",
    pycurl.E_COULDNT_RESOLVE_PROXY: "proxy",
    pycurl.E_COULDNT_CONNECT: "refused",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CIPHER: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_ISSUER_ERROR: "tls",
    pycurl.E_RECV_ERROR: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_GOT_NOTHING: "reset",
    pycurl.E_PARTIAL_FILE: "reset",
    pycurl.E_WRITE_ERROR: "too_large",
}


class Request(msgspec.Struct, frozen=True):
    """One POST, or without a body one GET, ready to be sent: the addresses were judged, the header lines checked."""

    url: Url
    lines: list[str]
    body: bytes | None
    addresses: tuple[str, ...]
    timeout_s: float
    terms: Terms = NO_TERMS


class Transfer:
    """A libcurl handle with all the fixed options set, used for one request after another."""

    __slots__ = (
        "_body",
        "_body_bytes",
        "_header_bytes",
        "_judge",
        "_lines",
        "_opened",
        "_policy",
        "_request",
        "_settings",
        "curl",
        "was_blocked",
    )

    def __init__(self, *, settings: EgressSettings, policy: Policy, ca_file: str) -> None:
        """Set what is the same for every request."""
        self.curl = pycurl.Curl()
        self._opened: list[socket.socket] = []
        self._settings = settings
        self._policy = policy
        self._set_fixed_options(ca_file)

    def prepare(self, request: Request) -> None:
        """Set what this request asks for."""
        self._request = request
        self._lines: list[bytes] = []
        self._body: list[bytes] = []
        self._header_bytes = self._body_bytes = 0
        self.was_blocked = False
        self._judge = self._policy
        if request.terms is not NO_TERMS:
            self._agree_to(request.terms)
        set_option = self.curl.setopt
        set_option(pycurl.URL, request.url.text)
        set_option(pycurl.HTTPHEADER, ["Expect:", "Accept-Encoding: identity", *request.lines])
        self._set_method(request.body)
        set_option(pycurl.TIMEOUT_MS, max(1, int(request.timeout_s * 1000)))
        set_option(pycurl.RESOLVE, _pins(request))

    @property
    def is_personal(self) -> bool:
        """Tell whether the handle holds what belongs to this request only: it is not used for another."""
        return self._request.terms is not NO_TERMS

    def finish(self, error: int = 0, text: str = "") -> Answer:
        """Give what came of the request, after libcurl said that it ended."""
        self.close_copies()
        status = int(self.curl.getinfo(pycurl.RESPONSE_CODE)) or None
        headers = parse_headers(self._lines)
        if error == 0 and status is not None:
            return Reply(status, headers, b"".join(self._body), self._timings())
        kind = "blocked" if self.was_blocked else self._kind(error)
        timings = self._timings()
        # On a connection that was kept nothing is connected to: only what was sent says that it was there.
        is_connected = timings.connect_ms > 0 or self.curl.getinfo(pycurl.REQUEST_SIZE) > 0
        return EgressFailure(kind, text or f"libcurl error {error}", status, headers, timings, is_connected)

    def close_copies(self) -> None:
        """Close our copies of the sockets: pycurl duplicates what the hook gives it and leaves the original to us."""
        for opened in self._opened:
            opened.close()
        self._opened.clear()

    def _kind(self, error: int) -> FailureKind:
        if self._settings.proxy and not self._is_through(error):
            return "proxy"
        return _KINDS.get(error, "protocol")

    def _is_through(self, error: int) -> bool:
        """Tell whether the proxy was there and did not refuse."""
        return error != pycurl.E_COULDNT_CONNECT and int(self.curl.getinfo(pycurl.HTTP_CONNECTCODE)) in (0, 200)

    def _agree_to(self, terms: Terms) -> None:
        """Set what holds for this request only."""
        self._judge = msgspec.structs.replace(self._policy, networks=terms.networks)
        if terms.networks:
            # A pooled connection is found by its name: nobody else may come inside on one that was opened here.
            self.curl.setopt(pycurl.FRESH_CONNECT, 1)
            self.curl.setopt(pycurl.FORBID_REUSE, 1)
        if terms.identity is not None:
            self.curl.setopt(pycurl.SSLCERT_BLOB, terms.identity.certificate)
            self.curl.setopt(pycurl.SSLKEY_BLOB, terms.identity.key)

    def _set_method(self, body: bytes | None) -> None:
        if body is None:
            self.curl.setopt(pycurl.HTTPGET, 1)
            return
        self.curl.setopt(pycurl.POST, 1)
        self.curl.setopt(pycurl.POSTFIELDS, body)

    def _set_fixed_options(self, ca_file: str) -> None:
        settings, set_option = self._settings, self.curl.setopt
        for option, value in _FIXED.items():
            set_option(option, value)
        set_option(pycurl.CAINFO, ca_file)
        set_option(pycurl.PROXY, settings.proxy)
        set_option(pycurl.NOPROXY, "" if settings.proxy else "*")
        set_option(pycurl.USERAGENT, settings.user_agent)
        set_option(pycurl.CONNECTTIMEOUT_MS, int(settings.connect_timeout_s * 1000))
        # A pooled connection outlives a name that was pointed elsewhere by this much at most.
        set_option(pycurl.MAXLIFETIME_CONN, settings.connection_life_s)
        set_option(pycurl.MAXAGE_CONN, settings.connection_life_s)
        set_option(pycurl.HEADERFUNCTION, self._take_header)
        set_option(pycurl.WRITEFUNCTION, self._take_body)
        set_option(pycurl.OPENSOCKETFUNCTION, self._open_socket)

    def _take_header(self, line: bytes) -> int | None:
        self._header_bytes += len(line)
        self._lines.append(line)
        return 0 if self._header_bytes > self._settings.header_limit_bytes else None

    def _take_body(self, chunk: bytes) -> int | None:
        self._body_bytes += len(chunk)
        if self._body_bytes > self._settings.body_limit_bytes:
            return 0
        self._body.append(chunk)
        return None

    def _open_socket(self, purpose: int, address: Any) -> Any:
        """Judge the address that is about to be connected to: the last word, whatever the resolver said before."""
        family, kind, protocol, place = address
        host = place[0] if family in (socket.AF_INET, socket.AF_INET6) else ""
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        # Behind a proxy the only connection is the one to it, and its address is the operator's word.
        if not self._settings.proxy and is_blocked(host, url=self._request.url, policy=self._judge):
            self.was_blocked = True
            return pycurl.SOCKET_BAD
        opened = socket.socket(family, kind, protocol)
        self._opened.append(opened)
        return opened

    def _timings(self) -> Timings:
        read = self.curl.getinfo
        return Timings(
            dns_ms=read(pycurl.NAMELOOKUP_TIME) * 1000,
            connect_ms=read(pycurl.CONNECT_TIME) * 1000,
            tls_ms=read(pycurl.APPCONNECT_TIME) * 1000,
            first_byte_ms=read(pycurl.STARTTRANSFER_TIME) * 1000,
            total_ms=read(pycurl.TOTAL_TIME) * 1000,
        )


def _pins(request: Request) -> list[str]:
    """Give the one answer libcurl may use for the name. `+` lets the entry age, so that it is not kept for ever."""
    if not request.addresses:
        return []
    listed = ",".join(f"[{address}]" if ":" in address else address for address in request.addresses)
    return [f"+{request.url.host}:{request.url.port}:{listed}"]


_FIXED: dict[int, Any] = {
    pycurl.NOSIGNAL: 1,
    pycurl.FOLLOWLOCATION: 0,
    pycurl.NETRC: pycurl.NETRC_IGNORED,
    pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
    pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
    pycurl.HTTP09_ALLOWED: 0,
    pycurl.PATH_AS_IS: 1,
    pycurl.SSL_VERIFYPEER: 1,
    pycurl.SSL_VERIFYHOST: 2,
    pycurl.SSLVERSION: pycurl.SSLVERSION_TLSv1_2,
    pycurl.TCP_NODELAY: 1,
}
