"""Receives webhooks and verifies each, once.

Usage: WEBHOOK_SECRET=whsec_... python 03_receive_webhook.py [PORT]
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 to what verifies, 400 to everything else."""

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            message = webhook.verify(body, headers)
        except WebhookVerificationError as error:
            print("refused:", error, flush=True)
            return self.answer(400)
        if headers["webhook-id"] not in seen:  # a message may come twice; keep this set in your database
            seen.add(headers["webhook-id"])
            print("verified:", message["type"], message["data"], flush=True)
        return self.answer(204)

    def answer(self, status: int) -> None:
        """Send a status and nothing else."""
        self.send_response(status)
        self.end_headers()


server = HTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9000), Receiver)
print("listening on port", server.server_port, flush=True)
server.serve_forever()
