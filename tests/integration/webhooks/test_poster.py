"""How a receiver knows us: basic, OAuth 2, a client certificate."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime
from pathlib import Path

import trustme
from standardwebhooks import Webhook

from rowcast.core.delivery import Owed
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.delivery.ledger import owed_columns
from rowcast.egress.client import open_client
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.egress.resolver import Resolver
from rowcast.webhooks.authentication import Basic, ClientCertificate, OAuth2
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_table import Message, MessageTable
from rowcast.webhooks.sealing import seal_context
from tests.integration.egress.receivers import answer, read_request, receiving
from tests.integration.webhooks.engine import OWE, RING, Engine


async def test_basic_is_sent_and_wins_over_a_header_of_the_tenants_own(engine: Engine) -> None:
    endpoint = await engine.authenticated("/ok", Basic("ann", "a:b"))
    sealed = RING.seal(b'{"AUTHORIZATION":"mine"}', context=seal_context("endpoint_headers", endpoint))
    await engine.run("update rowcast.endpoint set headers = :value where id = :id", value=sealed, id=endpoint)

    await engine.deliver(engine.sink(), endpoint)

    (_, headers, _) = engine.receiver.requests[0]
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"ann:a:b"
    assert "AUTHORIZATION" not in headers


async def test_oauth2_token_is_asked_for_once_and_anew_when_the_receiver_does_not_take_it(engine: Engine) -> None:
    engine.receiver.answers["/token"] = [
        answer("200 OK", b'{"access_token":"t%d","token_type":"Bearer","expires_in":3600}' % number)
        for number in range(1, 4)
    ]
    engine.receiver.answers["/api"] = [answer(), answer("401 No"), answer()]
    said = OAuth2(token_url=engine.url + "/token", client_id="a", client_secret="canary")
    endpoint, sink = await engine.authenticated("/api", said), engine.sink()

    outcomes = [await engine.deliver(sink, endpoint) for _ in range(3)]

    sent = [headers["authorization"] for path, headers, _ in engine.receiver.requests if path == "/api"]
    assert sent == ["Bearer t1", "Bearer t1", "Bearer t2"]
    assert engine.receiver.paths()["/token"] == 2
    assert [type(outcome) for outcome in outcomes] == [Delivered, Retry, Delivered]
    assert "canary" not in str(outcomes)


async def test_token_url_that_points_inside_is_blocked_and_nothing_is_posted(engine: Engine) -> None:
    said = OAuth2(token_url="http://169.254.169.254/token", client_id="a", client_secret="b")
    endpoint = await engine.authenticated("/ok", said)

    outcome = await engine.deliver(engine.sink(), endpoint)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, engine.receiver.requests) == ("token_failed", [])


async def test_client_certificate_of_an_endpoint_is_shown_to_its_receiver(engine: Engine, tmp_path: Path) -> None:
    ca, seen = trustme.CA(), []
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("hooks.example.com").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    mine = ca.issue_cert("sender.example.com")

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(str(writer.get_extra_info("ssl_object").getpeercert()["subjectAltName"]))
        await read_request(reader)
        writer.write(answer())

    certificate = ClientCertificate(mine.cert_chain_pems[0].bytes().decode(), mine.private_key_pem.bytes().decode())
    endpoint = await engine.authenticated("/ok", certificate)
    resolver = Resolver(clock=engine.clock, lookup=lambda host: ["127.0.0.1"])
    async with receiving(respond, tls=context) as port:
        policy = Policy(allowed=frozenset({("hooks.example.com", port)}))
        settings = EgressSettings(timeout_s=10.0, ca_file=str(tmp_path / "ca.pem"))
        url = f"https://hooks.example.com:{port}/"
        await engine.run("update rowcast.endpoint set url = :url where id = :id", url=url, id=endpoint)
        async with open_client(clock=engine.clock, policy=policy, settings=settings, resolver=resolver) as client:
            engine.client = client
            outcome = await engine.deliver(engine.sink(), endpoint)

    assert isinstance(outcome, Delivered)
    assert "sender.example.com" in seen[0]


async def test_a_transformed_body_is_what_is_posted_and_signed(engine: Engine) -> None:
    document = '{"code":"{\\"text\\":\\"{{ type }} {{ data.id }}\\"}","enabled":true,"variables":{}}'
    endpoint = await engine.endpoint("/ok", transform=document)
    secret = await engine.table.secrets.current("acme", endpoint)

    outcome = await engine.deliver(engine.sink(), endpoint)

    (_, headers, body) = engine.receiver.requests[0]
    assert isinstance(outcome, Delivered)
    assert Webhook(secret).verify(body, headers) == {"text": "orders.confirmed o1"}
    assert headers["content-type"] == "application/json"


async def test_a_template_that_does_not_fit_is_a_dead_letter_and_the_endpoint_stays_well(engine: Engine) -> None:
    code = '{"code":"{\\"$each\\":\\"data.id\\",\\"$as\\":1}","enabled":true,"variables":{}}'
    wrong = await engine.endpoint("/ok", transform=code)
    saved = await engine.endpoint("/ok", transform=code.replace("true", "false"))

    outcome = await engine.deliver(engine.sink(give_up_days=0.000001), wrong)
    other = await engine.deliver(engine.sink(), saved)

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.is_cancelled) == ("transform_failed", False)
    assert "'data.id' is no list" in outcome.excerpt
    assert isinstance(other, Delivered)
    assert len(engine.receiver.requests) == 1
    assert await engine.state(wrong) == (False, None, False, False)


async def raw_message(engine: Engine) -> Message:
    draft = MessageDraft(event_type="a.b", payload=b"{}", raw_payload="<ü/>", content_type="application/xml")
    async with engine.database.transaction() as session:
        return await MessageTable().create(session, "acme", draft)


async def deliver(engine: Engine, message: Message, target: str) -> Delivered | Retry | Rejected:
    owed = [(message.event_id, "acme", Owed("webhooks", target))]
    await engine.database.execute(OWE, **owed_columns(owed))
    (delivery,) = (await engine.ledger.claim("webhooks", 1)).deliveries
    outcome = await engine.sink().deliver(delivery)
    assert isinstance(outcome, Delivered | Retry | Rejected)
    return outcome


async def test_a_raw_message_is_posted_signed_and_typed_as_it_was_sent(engine: Engine) -> None:
    endpoint, message = await engine.endpoint(transform='{"code": "{}", "enabled": true}'), await raw_message(engine)

    outcome = await deliver(engine, message, endpoint)

    (_, headers, body) = engine.receiver.requests[0]
    secret = await engine.table.secrets.current("acme", endpoint)
    # The library reads JSON after it has verified: what is verified here is the signature alone.
    signed = Webhook(secret).sign(headers["webhook-id"], sent_at(headers), body.decode())
    assert isinstance(outcome, Delivered)
    assert (body.decode(), headers["content-type"]) == ("<ü/>", "application/xml")
    assert (headers["webhook-signature"], headers["webhook-id"]) == (signed, message.id)


async def test_what_was_expunged_before_its_turn_is_cancelled_and_not_posted(engine: Engine) -> None:
    endpoint, message = await engine.endpoint(), await raw_message(engine)
    await Expunge(database=engine.database).contents("acme", [message.event_id])

    outcome = await deliver(engine, message, endpoint)

    assert outcome == Rejected("expunged", is_cancelled=True)
    assert engine.receiver.requests == []


def sent_at(headers: dict[str, str]) -> datetime:
    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=UTC)
