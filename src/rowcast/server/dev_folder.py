"""What `rowcast dev` keeps between starts: its data folder and the keys it made the first time."""

import os
import secrets
import shutil
from pathlib import Path

import msgspec

from rowcast.core.codec import decode_json
from rowcast.core.errors import ConfigError, InvalidInputError
from rowcast.server.embedded_folder import lock_folder
from rowcast.server.instance import remove_instance
from rowcast.webhooks.sealing import KEY_BYTES, SealKey, written_key
from rowcast.webhooks.signature import secret_text

FILE_NAME = "keys.json"
DATABASE_FOLDER = "postgres"
# Whose user token, topics and webhook catcher the development server has.
DEVELOPMENT_TENANT_ID = "acme"
# The secret that public test keys of the stock clients are signed with, so that public test suites run against a
# development server. `rowcast serve` refuses it.
DEVELOPMENT_JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105 - public on purpose


class DevelopmentKeys(msgspec.Struct, frozen=True):
    """Keys that stay the same between starts, so that a copied line keeps working."""

    api_key: str
    webhook_secret: str
    seal_key: str = ""


def prepare_folder(folder: Path) -> Path:
    """Make the data folder and give its absolute path. Others may enter it, as the database must, not list it.

    Raises:
        ConfigError: `config.data_folder`, when it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The data folder {folder} cannot be made: {error}. Name another with --data.", code="config.data_folder"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"The data folder {folder} cannot be written. Name another with --data.", code="config.data_folder"
        )
    return folder.resolve()


def development_keys(folder: Path) -> DevelopmentKeys:
    """Give the keys of this folder; make what is missing of them."""
    file = folder / FILE_NAME
    try:
        kept = decode_json(file.read_bytes(), DevelopmentKeys)
    except (OSError, InvalidInputError):
        kept = DevelopmentKeys(f"rk_dev_{secrets.token_urlsafe(24)}", secret_text(secrets.token_bytes(32)))
    if kept.seal_key:
        return kept
    keys = msgspec.structs.replace(kept, seal_key=written_key(SealKey("dev", secrets.token_bytes(KEY_BYTES))))
    file.touch(mode=0o600)
    file.write_bytes(msgspec.json.encode(keys))
    return keys


def empty_folder(folder: Path) -> None:
    """Remove the development database and the keys; whatever else lies in the folder stays.

    Raises:
        ConfigError: `config.data_locked`, while a server runs on it; `config.data_folder`, when it cannot be removed.
    """
    database = folder / DATABASE_FOLDER
    try:
        if database.is_dir():
            lock = lock_folder(database)
            try:
                shutil.rmtree(database)
            finally:
                os.close(lock)
        (folder / FILE_NAME).unlink(missing_ok=True)
        remove_instance(folder)
    except OSError as error:
        raise ConfigError(
            f"The data folder {folder} cannot be emptied: {error}. Remove it as the user who made it.",
            code="config.data_folder",
        ) from error
