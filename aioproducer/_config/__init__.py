"""What can be set, to what, and what follows from it: the settings of a producer."""

from __future__ import annotations

from aioproducer._config.bootstrap import parse_bootstrap_servers
from aioproducer._config.declared import SETTINGS, Setting
from aioproducer._config.producer_config import ProducerConfig
from aioproducer._config.signature import SettingsSignature
from aioproducer._config.typed import ProducerSettings, SettingsByName

__all__ = [
    "SETTINGS",
    "ProducerConfig",
    "ProducerSettings",
    "Setting",
    "SettingsByName",
    "SettingsSignature",
    "parse_bootstrap_servers",
]
