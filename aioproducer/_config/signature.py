"""The signature of what takes the settings by name: completion and `help()` have them from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioproducer._config.declared import SETTINGS

if TYPE_CHECKING:
    from inspect import Signature


class SettingsSignature:
    """A class's `__signature__`, made when it is asked for, with a parameter for each setting in place of **settings.

    Args:
        is_complete: whether the settings have to be given there, and not in a ProducerConfig beside them.
    """

    __slots__ = ("_is_complete",)

    def __init__(self, *, is_complete: bool) -> None:
        self._is_complete = is_complete

    def __get__(self, instance: object, owner: Any = None) -> Signature:
        from inspect import Parameter, signature  # asked for at a prompt, not by programs

        from aioproducer._config.typed import ProducerSettings

        made = signature(owner.__init__)
        taken = list(made.parameters.values())[1:]  # without self
        if not taken or taken[-1].kind is not Parameter.VAR_KEYWORD:
            return made.replace(parameters=taken)
        own = taken[:-1]
        names = {parameter.name for parameter in own}
        for name, declared in SETTINGS.items():
            if name not in names:
                hint = ProducerSettings.__annotations__[name]
                default = Parameter.empty if declared.required and self._is_complete else declared.default
                own.append(
                    Parameter(
                        name,
                        Parameter.KEYWORD_ONLY,
                        default=default,
                        annotation=getattr(hint, "__forward_arg__", hint),
                    )
                )
        return made.replace(parameters=own)
