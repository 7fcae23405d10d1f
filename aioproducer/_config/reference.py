"""The text of docs/settings.md, which `python -m aioproducer._config > docs/settings.md` makes."""

from __future__ import annotations

from aioproducer._config.declared import SETTINGS, Setting
from aioproducer._config.names import ALIASES
from aioproducer._config.producer_config import shown

HEAD = """# Settings

Arguments of `Producer` and `ProducerConfig`. Names, units and defaults are those of Kafka's Java producer 4.3, dots as
underscores, unless a text says otherwise. `ProducerConfig.from_config`, `from_file` and `from_env` take the dotted
names, values as text, and the names of other clients below.

This file is generated: `python -m aioproducer._config > docs/settings.md`.

| setting | type | default | what it does |
|---|---|---|---|
"""

OTHER_NAMES = """
## Other names that are understood in files

| name | whose | setting |
|---|---|---|
"""


def settings_reference() -> str:
    """Return the reference of all settings as Markdown."""
    rows = "".join(_row(declaration) for declaration in SETTINGS.values())
    others = "".join(
        f"| `{name.replace('_', '.') if alias.origin != 'aiokafka' else name}` | {alias.origin} | `{alias.name}` |\n"
        for name, alias in ALIASES.items()
    )
    return f"{HEAD}{rows}{OTHER_NAMES}{others}"


def _row(declaration: Setting) -> str:
    name = f"`{declaration.name}`"
    if declaration.java_name is None:
        name += " (not in Java)"
    elif declaration.java_name != declaration.name.replace("_", "."):
        name += f" (`{declaration.java_name}`)"
    default = "required" if declaration.required else f"`{shown(declaration, declaration.default)}`"
    label = declaration.kind.label.replace("|", "\\|")
    return f"| {name} | {label} | {default} | {declaration.text} |\n"
