"""What can be set, to what, and what follows from it: the settings of a producer."""

from __future__ import annotations

from aioproducer._config.bootstrap import parse_bootstrap_servers
from aioproducer._config.declared import SETTINGS, Setting
from aioproducer._config.producer_config import ProducerConfig
from aioproducer._config.typed import ProducerSettings

__all__ = ["SETTINGS", "ProducerConfig", "ProducerSettings", "Setting", "parse_bootstrap_servers"]
