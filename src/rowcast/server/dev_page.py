"""The page that `rowcast dev` prints. Pure."""

from rowcast.server.instance import Instance


def dev_page(instance: Instance, *, example: str | None) -> str:
    """Give the aligned URLs, the keys, and one line to copy for each way in; `example` changes a row of the shop."""
    lines = [
        "",
        "  rowcast is running",
        "",
        *_aligned(
            {
                "Live page": instance.live_url,
                "API": f"{instance.api_url}/api/v1",
                "WebSocket": instance.websocket_url,
                "Webhook catcher": instance.catcher_url,
                "PostgreSQL": instance.database_url,
                "Data folder": instance.data_folder,
            }
        ),
        "",
        *_aligned(
            {
                "anon key": instance.anon_key,
                "service key": instance.service_key,
                "user token": f"{instance.user_token}  (tenant {instance.tenant_id})",
                "API key": instance.api_key,
            }
        ),
        "",
        *_example_lines(instance, example),
        "",
        "  Hear it in a browser or in Node (npm install @supabase/realtime-js):",
        *(f"    {line}" for line in javascript_lines(instance)),
        "",
        "  Press Ctrl-C to stop.",
    ]
    return "\n".join(lines)


def _example_lines(instance: Instance, example: str | None) -> list[str]:
    if example is None:
        return [
            "  Make a table's changes events:",
            "    rowcast watch TABLE --topic 'table:{tenant}' --columns id,... --apply",
        ]
    return [
        "  Change a row, and watch it arrive:",
        f'    psql "{instance.database_url}" -c "{example}"',
        "",
        "  Emit an event:",
        f"    {curl_line(instance)}",
    ]


def curl_line(instance: Instance) -> str:
    """Give one line that emits an event over HTTP."""
    body = '{"tenantId":"acme","eventType":"shop.order_confirmed","payload":{"order_id":"1","total":"42.00"}}'
    return (
        f"curl -X POST {instance.api_url}/api/v1/events -H 'Authorization: Bearer {instance.api_key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def javascript_lines(instance: Instance) -> tuple[str, ...]:
    """Give a program that joins with the stock client."""
    return (
        "import { RealtimeClient } from '@supabase/realtime-js'",
        f"const params = {{ apikey: '{instance.anon_key}' }}",
        f"const client = new RealtimeClient('{instance.websocket_url}', {{ params }})",
        f"client.setAuth('{instance.user_token}')",
        f"client.channel('orders:{instance.tenant_id}', {{ config: {{ private: true }} }})",
        "  .on('broadcast', { event: '*' }, (message) => console.log(message)).subscribe()",
    )


def _aligned(pairs: dict[str, str]) -> list[str]:
    width = max(len(name) for name in pairs)
    return [f"    {name:<{width}}  {value}" for name, value in pairs.items()]
