"""Prints the reference of all settings as Markdown: `python -m aioproducer._config > docs/settings.md`."""

from __future__ import annotations

import sys

from aioproducer._config.reference import settings_reference

if __name__ == "__main__":
    sys.stdout.write(settings_reference())
