"""The keys that seal what is secret: those of the settings, or the one that the development server made itself."""

import os

from pydantic import SecretStr

from rowcast.core.telemetry import tell
from rowcast.server.command import Place, database_url, loaded_settings, running_instance
from rowcast.server.dev_folder import development_keys
from rowcast.server.settings import Settings
from rowcast.webhooks.sealing import KeyRing, parse_key


def key_ring(settings: Settings) -> KeyRing:
    """Give the ring of these settings.

    Raises:
        ConfigError: `config.seal_keys`.
    """
    return KeyRing([parse_key(key.get_secret_value()) for key in settings.secrets.keys], noise=os.urandom)


def sealed_by(settings: Settings, key: str) -> Settings:
    """Give the settings with this key, unless they name keys of their own."""
    if settings.secrets.keys:
        return settings
    secrets = settings.secrets.model_copy(update={"keys": (SecretStr(key),)})
    return settings.model_copy(update={"secrets": secrets})


def command_ring(place: Place) -> KeyRing:
    """Give the ring for a command: that of the settings, or of the development server whose database it works on.

    Raises:
        ConfigError: `config.seal_keys`, `config.no_database`.
    """
    settings = loaded_settings(place).settings
    instance = running_instance(place)
    if instance is None or instance.database_url != database_url(place):
        return key_ring(settings)
    return key_ring(sealed_by(settings, development_keys(place.folder).seal_key))


def tell_unsealed(settings: Settings) -> None:
    """Say once, at start, that what is secret lies in the database as it is."""
    if not settings.secrets.keys:
        tell("secret.values_exposed")
