"""The command that writes the reference."""

from __future__ import annotations

import subprocess
import sys

from aioproducer._config.reference import settings_reference


def test_the_command_prints_the_reference() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aioproducer._config"], capture_output=True, encoding="utf-8", check=True, timeout=20
    )
    assert done.stdout == settings_reference()
