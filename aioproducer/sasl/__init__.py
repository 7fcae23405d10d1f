"""SASL mechanisms: how a client proves to a broker who it is, as steps from bytes to bytes.

`Mechanism` is what each of them is; write another one, and it can be used as these are. Where passwords and tokens come
from is the business of `aioproducer.security`.

====================  ===============================================================================================
`Plain`               PLAIN (RFC 4616): user name and password; wants TLS
`Scram`               SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, 7677; KIP-84), delegation tokens too (KIP-48)
`OAuthBearer`         OAUTHBEARER (RFC 7628; KIP-255, KIP-342): a token; wants TLS
`Gssapi`              GSSAPI (RFC 4752): a Kerberos ticket, from a library of the system's behind `GssContext`
`AwsMskIamMechanism`  AWS_MSK_IAM: Amazon's own; wants TLS
====================  ===============================================================================================
"""

from __future__ import annotations

from aioproducer.sasl._aws_msk_iam import AwsMskIamMechanism
from aioproducer.sasl._gssapi import Gssapi, GssContext
from aioproducer.sasl._mechanism import Mechanism, Step
from aioproducer.sasl._oauthbearer import OAuthBearer
from aioproducer.sasl._plain import Plain
from aioproducer.sasl._scram import Scram, ScramName
from aioproducer.sasl._scram_keys import ScramKeyCache
from aioproducer.sasl._sigv4 import AwsCredentials, region_of

__all__ = [
    "AwsCredentials",
    "AwsMskIamMechanism",
    "GssContext",
    "Gssapi",
    "Mechanism",
    "OAuthBearer",
    "Plain",
    "Scram",
    "ScramKeyCache",
    "ScramName",
    "Step",
    "region_of",
]
