"""The settings of Kerberos: what they need, and what Java's login module says in their place."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aioproducer._config.rules import Findings
    from aioproducer.security._jaas_modules import KerberosLogin

_OF_OTHERS: Final = ("sasl_username", "sasl_password", "sasl_oauth_token_provider")


def check_kerberos(found: Findings) -> None:
    """Check what goes with sasl_mechanism=GSSAPI."""
    from aioproducer.security._kerberos import MISSING

    values, problems = found.values, found.problems
    for name in _OF_OTHERS:
        if values[name] is not None:
            problems.append(f"{name} is given, but sasl_mechanism is GSSAPI, which logs in with Kerberos' tickets")
    if values["sasl_kerberos_keytab"] is not None and values["sasl_kerberos_ticket_cache"] is not None:
        problems.append("sasl_kerberos_keytab and sasl_kerberos_ticket_cache are two places of tickets; keep one")
    if find_spec("gssapi") is None:
        problems.append(f"sasl_mechanism: {MISSING}")


def take_kerberos_login(found: Findings, login: KerberosLogin) -> None:
    """Put in what Krb5LoginModule says; what is given by itself too has to be the same."""
    settings = {
        "sasl_kerberos_keytab": login.keytab,
        "sasl_kerberos_principal": login.principal,
        "sasl_kerberos_ticket_cache": login.ticket_cache if login.use_ticket_cache else None,
        "sasl_kerberos_service_name": login.service_name,
    }
    for name, value in settings.items():
        if value is None or value == found.values[name]:
            continue
        if name in found.given:
            found.problems.append(f"{name} and sasl_jaas_config say two things; keep one")
        found.values[name] = value
