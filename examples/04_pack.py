"""A pack: what can happen, what is to be done about it, and when.

Name it in rowcast.toml: packs = ["my_module:pack"]
"""

from decimal import Decimal

from rowcast import Event, Pack, Retry, rule, task


class InvoicePaid(Event, type="billing.invoice_paid", aggregate="invoice", key="invoice_id"):
    """The money has arrived."""

    invoice_id: str
    amount: Decimal
    customer: str = ""


@task("billing.thank", timeout_s=10.0, max_attempts=8)
async def thank(event: InvoicePaid) -> dict[str, str] | Retry:
    """Give the letter, or ask for another attempt while the customer is not known."""
    if not event.customer:
        return Retry("no_customer", after_s=60.0)
    return {"to": event.customer, "text": f"Thank you for {event.amount}."}


@task("billing.call")
def call(event: InvoicePaid) -> str:
    """Not async: runs in a thread."""
    return f"call {event.customer} about {event.invoice_id}"


pack = Pack(
    name="billing",
    events=(InvoicePaid,),
    tasks=(thank, call),
    rules=(
        rule("billing.thank", "billing.invoice_paid", sink="jobs", target="billing.thank"),
        rule(
            "billing.call",
            "billing.*",
            sink="jobs",
            target="billing.call",
            when={">": [{"var": "payload.amount"}, 10_000]},
            delay_s=3600.0,
        ),
    ),
)
