"""Prints the reference of all settings as Markdown: `python -m aioproducer.config > docs/settings.md`."""

from __future__ import annotations

import sys

from aioproducer.config.reference import settings_reference

if __name__ == "__main__":
    sys.stdout.write(settings_reference())
