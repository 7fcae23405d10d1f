"""The decorator of what programs import from another path than the one where they are written."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def public_in(path: str) -> Callable[[T], T]:
    """Have a class or function name its public path as its module, so that reprs, pickles and tracebacks name it.

    A pickle outlives a move inside the package, then. The annotations of its fields are looked up now, as far as
    their names are known: pydantic and typing.get_type_hints would look for them in the module that the class names.
    """

    def renamed(exported: T) -> T:
        names = vars(sys.modules[exported.__module__])
        annotations: dict[str, Any] = vars(exported).get("__annotations__", {})
        fields: dict[str, Any] = vars(exported).get("__dataclass_fields__", {})
        for name, annotation in annotations.items():
            if isinstance(annotation, str):
                try:
                    annotations[name] = eval(annotation, names)
                except NameError:
                    continue  # of an import for type checkers alone: nobody could look it up before either
                if name in fields:
                    fields[name].type = annotations[name]
        exported.__module__ = path
        return exported

    return renamed
