"""All routes of the webhook API, put together."""

from collections.abc import Sequence

from litestar import Router

from rowcast.outbox.decided import Decided
from rowcast.server.app import App
from rowcast.server.http import KeyFinder
from rowcast.server.policy import egress_policy
from rowcast.server.webhook_api import WebhookApi
from rowcast.server.webhook_api_answers import AnswerTable
from rowcast.server.webhook_api_applications import application_routes
from rowcast.server.webhook_api_attempts import AttemptRoutes, attempt_routes
from rowcast.server.webhook_api_endpoints import endpoint_routes
from rowcast.server.webhook_api_endpoints_frame import EndpointApi
from rowcast.server.webhook_api_endpoints_private import endpoint_private_routes
from rowcast.server.webhook_api_endpoints_stats import Examples, endpoint_stats_routes
from rowcast.server.webhook_api_endpoints_transformation import transformation_routes
from rowcast.server.webhook_api_event_types import event_type_routes
from rowcast.server.webhook_api_message_contents import ContentRoutes, content_routes
from rowcast.server.webhook_api_messages import MessageRoutes, message_routes
from rowcast.server.webhook_api_polling import PollingRoutes, polling_routes
from rowcast.server.webhook_api_portal import hosted_routes, portal_routes
from rowcast.server.webhook_api_recovery import RecoveryRoutes, recovery_routes
from rowcast.webhooks.application_table import ApplicationTable
from rowcast.webhooks.attempt_list import AttemptList
from rowcast.webhooks.background_task import TaskTable
from rowcast.webhooks.endpoint_privates import EndpointPrivates
from rowcast.webhooks.event_type import declared_types
from rowcast.webhooks.event_type_table import EventTypeTable
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.message_table import MessageTable
from rowcast.webhooks.payload_check import PayloadCheck
from rowcast.webhooks.poller import Poller


def webhook_api_routes(app: App, *, find_key: KeyFinder) -> Sequence[Router]:
    """Give the routes that the SDKs call."""
    api = WebhookApi(
        database=app.database,
        find_key=find_key,
        applications=ApplicationTable(clock=app.clock),
        answers=AnswerTable(database=app.database, ring=app.ring),
    )
    privates = EndpointPrivates(ring=app.ring, policy=egress_policy(app.settings))
    endpoints = EndpointApi(api=api, table=app.endpoints, privates=privates)
    types = EventTypeTable(declared=declared_types(app.catalogue, at=app.clock.now()))
    check = PayloadCheck(types=types, declared=app.catalogue)
    messages = MessageRoutes(api, table=MessageTable(), endpoints=app.endpoints, check=check, clock=app.clock)
    nudge = app.recovery.nudge if app.recovery else None
    tasks = TaskTable(clock=app.clock)
    recovery = RecoveryRoutes(endpoints=endpoints, tasks=tasks, nudge=nudge)
    expunge = Expunge(database=app.database)
    contents = ContentRoutes(api, messages=messages.table, expunge=expunge, tasks=tasks, nudge=nudge)
    polling = PollingRoutes(endpoints=endpoints, poller=Poller(decided_seq=Decided(database=app.database).seq))
    attempts = AttemptRoutes(
        endpoints,
        messages=messages.table,
        attempts=AttemptList(),
        nudge=app.runner.nudge if app.runner else None,
    )
    return (
        application_routes(api),
        endpoint_routes(endpoints),
        endpoint_private_routes(endpoints),
        endpoint_stats_routes(endpoints, Examples(types=types, check=check, clock=app.clock)),
        transformation_routes(endpoints, clock=app.clock),
        event_type_routes(api, types),
        message_routes(messages),
        content_routes(contents),
        attempt_routes(attempts),
        recovery_routes(recovery),
        polling_routes(polling),
        portal_routes(api, public_url=app.settings.server.public_url),
        hosted_routes(api),
    )
