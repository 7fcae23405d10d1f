"""The checksum is Castagnoli's, and can go on where it ended."""

from __future__ import annotations

import subprocess
import sys

from aioproducer._records.checksum import load_crc32c


def test_check_value_is_that_of_crc_32c() -> None:
    assert load_crc32c()(b"123456789") == 0xE3069283


def test_checksum_continues_from_a_value() -> None:
    crc32c = load_crc32c()
    assert crc32c(memoryview(b"6789"), crc32c(b"12345")) == crc32c(b"123456789")


def test_importing_the_modules_imports_no_slow_package() -> None:
    code = (
        "import sys, aioproducer._records.encode, aioproducer._records.decode, aioproducer._records.compression\n"
        "print(sorted({'crc32c', 'zstandard', 'lz4', 'cramjam', 'asyncio', 'importlib.metadata'} & sys.modules.keys()))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == "[]\n"
