"""What is fetched and built once for tests, and what is told where it cannot be."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.servers.built import built, run
from tests.servers.kerberos import missing_program


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIOPRODUCER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_those_who_ask_at_once_build_once(cache: Path) -> None:
    built_by: list[str] = []

    def build(folder: Path) -> None:
        built_by.append(threading.current_thread().name)
        (folder / "content").write_text("x")

    threads = [threading.Thread(target=built, args=("thing-1", build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(built_by) == 1
    assert (built("thing-1", build) / "content").read_text() == "x"
    assert built("thing-1", build) == cache / "thing-1"


def test_a_build_that_fails_leaves_nothing_and_is_begun_anew(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        built("thing-2", fail)
    assert [path.name for path in cache.iterdir()] == ["thing-2.lock"]
    folder = built("thing-2", lambda folder: (folder / "whole").touch())
    assert sorted(path.name for path in folder.iterdir()) == ["complete", "whole"]


def test_a_command_that_fails_tells_what_it_printed() -> None:
    with pytest.raises(RuntimeError, match=r"sh ended with 3:\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])
    run(["sh", "-c", 'test "$OWN" = 1'], environment={"OWN": "1"})


def test_a_program_that_is_missing_is_named() -> None:
    assert missing_program("/nowhere") in {"krb5kdc", "Python.h"}
