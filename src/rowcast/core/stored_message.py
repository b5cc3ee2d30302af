"""A stored message: what the database sends to sockets (`realtime.send`), as it was committed."""

import msgspec


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """One committed row of `realtime.messages`.

    `payload` is JSON text, or any bytes where `is_binary`. `tenant_id` is None where the row names no tenant. `id` is
    the row's, as text; of one transaction's messages later ones have greater ids.
    """

    id: str
    topic: str
    event: str
    payload: bytes
    is_private: bool
    is_binary: bool = False
    tenant_id: str | None = None
