"""What `make compiled` and `make test-compiled` do: python -m scripts.compiled [build | test [ARGUMENTS OF PYTEST]]

build: a wheel in dist/ whose hot modules are compiled. test: that wheel in a virtual environment of its own, below
build/compiled, with a copy of the tests beside it and no source of the package, so that what is tested is what was
compiled. Nothing is written into the source tree: an extension there would be imported in place of its module.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "build" / "compiled"
PARTS: Final = (
    "tests",
    "benchmarks",
    "scripts",
    "docs",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "Makefile",
    "hatch_build.py",
)
"""What tests read besides the package."""

SUITES: Final = (
    "tests/unit",
    "tests/simulation",
    "tests/simulation_producer",
    "tests/cancellation",
    "tests/contract",
    "tests/test_compiled.py",
)
NOT_HERE: Final = {
    # Bugs are planted by replacing methods, and a compiled class has none to replace: these run on the pure form only.
    "tests/simulation/test_planted_bugs.py",
    "tests/simulation/test_planted_transaction_bugs.py",
    "tests/simulation_producer/test_planted_bugs.py",
    # They hand a fake to what takes a compiled class and, compiled, takes nothing else.
    "tests/unit/_metrics/test_counters.py",
    "tests/unit/_producer/test_send_path.py",
    "tests/unit/_producer/test_statistics.py",
    "tests/unit/_producer/test_topic.py",
    "tests/unit/_runtime/test_buffer_wait.py",
}
CHECK: Final = """
import aioproducer, aioproducer._core.accumulator.append as hot
assert aioproducer.__compiled__ is True, "the wheel is pure"
assert not hot.__file__.endswith(".py"), hot.__file__
print("testing", hot.__file__)
"""


def main() -> int:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["build"]:
            print(build(ROOT / "dist"))
            return 0
        case ["test", *arguments]:
            return test(arguments)
        case _:
            print(__doc__)
            return 2


def build(folder: Path) -> Path:
    """Build the compiled wheel; takes a minute or two."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], check=True, env={**os.environ, "AIOPRODUCER_MYPYC": "1"}
    )
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return max(folder.glob(f"aioproducer-*{tag}.whl"), key=lambda wheel: wheel.stat().st_mtime)


def test(arguments: list[str]) -> int:
    """Build, install and test; the exit status is pytest's."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    python = install(build(FOLDER))
    tree = FOLDER / "tree"
    tree.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tree / part)
    subprocess.run([str(python), "-c", CHECK], cwd=tree, check=True)
    suites = arguments or [*[f"--ignore={path}" for path in sorted(NOT_HERE)], *SUITES]
    command = [
        str(python),
        "-m",
        "pytest",
        "-m",
        "not kafka",
        "-n",
        "auto",
        "--dist",
        "loadfile",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run([*command, *suites], cwd=tree, check=False).returncode


def install(wheel: Path) -> Path:
    """Make a virtual environment with this wheel, and the packages of the present one behind it; return its Python."""
    folder = FOLDER / "venv"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # A line in a .pth file adds a folder without reading the .pth files in there, one of which leads to the source.
    (site / "development.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True)
    return python


if __name__ == "__main__":
    sys.exit(main())
