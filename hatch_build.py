"""The compiled form of a wheel: AIOPRODUCER_MYPYC=1 has its hot modules compiled by mypyc; without it nothing happens.

The modules are listed in pyproject.toml, below `tool.hatch.build.targets.wheel.hooks.custom`. They are compiled in a
temporary copy: an extension beside a module of the source tree would be imported in its place from then on.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH: Final = "AIOPRODUCER_MYPYC"
COMPILER: Final = ["mypy==2.4.1", "setuptools>=77"]
"""What compiling needs besides a C compiler. mypyc is a part of mypy; another version is another compiler."""

GROUP: Final = "aioproducer"
"""The modules become one library of this name, `aioproducer__mypyc`, in which they call each other directly."""

SETUP: Final = """
from mypyc.build import mypycify
from setuptools import setup

setup(name={group!r}, packages=[], ext_modules=mypycify({arguments!r}, group_name={group!r}, debug_level="0"))
"""
# The project's own checks are stricter; here the types are only read. A package that is not there does not matter.
MYPY: Final = """
[mypy]
ignore_missing_imports = True
namespace_packages = True
explicit_package_bases = True
"""


class CompiledBuildHook(BuildHookInterface[Any]):
    """Adds the extensions to a wheel when they are asked for. The Python source stays in it, for tracebacks."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What has to be installed to build: nothing for the pure form."""
        return COMPILER if self._is_wanted("standard") else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        if not self._is_wanted(version):
            return
        self._folder = Path(tempfile.mkdtemp(prefix="aioproducer-mypyc-"))
        modules: list[str] = self.config["modules"]
        for path in compile_modules(Path(self.root), self._folder, modules):
            build_data["force_include"][str(path)] = str(path.relative_to(self._folder / "built"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written."""
        if self._is_wanted(version):
            shutil.rmtree(self._folder)

    def _is_wanted(self, version: str) -> bool:
        # An editable installation is for those who change the source, and would not see the change.
        return os.environ.get(SWITCH) == "1" and self.target_name == "wheel" and version != "editable"


def compile_modules(root: Path, folder: Path, modules: list[str]) -> list[Path]:
    """Compile modules of the package below `root`; return the extensions, laid out as in a wheel below folder/built.

    Raises:
        RuntimeError: mypyc or the C compiler has failed; the text has their words.
    """
    shutil.copytree(root / "aioproducer", folder / "aioproducer", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mypy.ini").write_text(MYPY)
    arguments = ["--config-file=mypy.ini", *modules]
    (folder / "setup.py").write_text(SETUP.format(group=GROUP, arguments=arguments))
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", "built"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"mypyc has failed; {SWITCH}=0 builds the pure form:\n{done.stdout}")
    return sorted(path for path in (folder / "built").rglob("*") if path.suffix in {".so", ".pyd"})
