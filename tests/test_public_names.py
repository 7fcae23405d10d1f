"""The public names, all of them by the path to import them from: a change of the interface is a change here."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
import types
import typing
from typing import Any, Final

import pytest

import aioproducer
from aioproducer.testing import RecordingProducer

ERRORS: Final = """
    AuthenticationError AuthorizationError BootstrapError BrokerError BufferFullError BufferTimeoutError
    CommitOutcomeUnknownError ConfigurationError ConnectionTimeoutError CorruptRecordError DeliveryTimeoutError
    ErrorCode FatalProducerError IllegalStateError InvalidRecordError InvalidTopicError KafkaConnectionError KafkaError
    KafkaTimeoutError MetadataTimeoutError ProducerClosedError ProducerFencedError ProtocolError RecordTooLargeError
    RequestTimeoutError SendAllError SerializationError TransactionAbortableError TransactionAbortedError
    UndeliveredError UnsupportedVersionError
"""

NAMES: Final = {
    "aioproducer": f"""
        Connector ConsumerGroupMetadata Delivery DeliveryCallback Headers HeadersLike MetricsSnapshot OffsetAndMetadata
        Partitioner Producer ProducerConfig ProducerInterceptor ProducerProtocol ProducerRecord ProducerSettings
        ProducerStatus RecordMetadata Serializer Stream ThreadEntry TopicHandle TopicPartition TopicView Transaction
        TransactionBlock __compiled__ __version__ {ERRORS}
    """,
    "aioproducer.errors": ERRORS,
    "aioproducer.interceptors": "ProducerInterceptor",
    "aioproducer.metrics": "GAUGES MetricsSnapshot TOTALS WINDOWED",
    "aioproducer.partitioners": """
        PARTITIONERS Partitioner PartitionerName crc32_partition fnv1a_partition murmur2 murmur2_partition
    """,
    "aioproducer.sasl": """
        AwsCredentials AwsMskIamMechanism GssContext Gssapi Mechanism OAuthBearer Plain Scram ScramKeyCache ScramName
        Step region_of
    """,
    "aioproducer.security": """
        Assertion AssertionFile AwsBotocore AwsChain AwsContainer AwsCredentials AwsEnvironment AwsInstanceMetadata
        AwsMskIam AwsProfile AwsSource AwsWebIdentity AzureManagedIdentity AzureWorkloadIdentity Claims GoogleCloud
        JwtBearer OidcClientCredentials RefreshSettings Secret SecretLike SecretSource SignedAssertion Token TokenCache
        TokenEndpoint TokenFile TokenProvider TokenProviderLike UnsecuredToken as_provider secret_from token_from_text
    """,
    "aioproducer.serializers": "Serializer TopicSerializer json_serializer protobuf pydantic_json utf8",
    "aioproducer.testing": """
        AcceptedToken BlockingCluster ClientCertificate ClusterFactory ClusterSettings EmbeddedCluster FaultHandle
        FaultProxy Interception Kafka LogRecord RealCluster RecordingProducer TokenError read_topic
    """,
}
PLUGIN: Final = "aioproducer.testing.pytest_plugin"
"""Public by its path alone, which pytest is told; its fixtures are in docs/testing.md."""

ELSEWHERE: Final = {
    "aioproducer": {"MetricsSnapshot", "Partitioner", "ProducerInterceptor", *ERRORS.split()},
    "aioproducer.security": {"AwsCredentials"},
}
"""Names that say another public path than this: a module that has them, too."""

EXPORTS: Final = [(path, name) for path, names in NAMES.items() for name in names.split()]


def exported(path: str, name: str) -> Any:
    return getattr(importlib.import_module(path), name)


@pytest.mark.parametrize("path", NAMES)
def test_the_public_names_are_these(path: str) -> None:
    module = importlib.import_module(path)
    assert sorted(module.__all__) == sorted(NAMES[path].split())


@pytest.mark.parametrize("path", NAMES)
def test_a_public_module_has_no_other_names_of_its_own(path: str) -> None:
    module = importlib.import_module(path)
    others = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name not in module.__all__
        and not isinstance(value, types.ModuleType)
        and getattr(value, "__module__", path).startswith("aioproducer")
    }
    assert others - {"TYPE_CHECKING", "annotations"} == set()


def test_every_other_module_is_private_by_name() -> None:
    names = [each.name for each in pkgutil.walk_packages(aioproducer.__path__, "aioproducer.")]
    public = {name for name in names if not any(part.startswith("_") for part in name.split("."))}
    assert public | {"aioproducer"} == {*NAMES, PLUGIN}


@pytest.mark.parametrize(("path", "name"), EXPORTS)
def test_what_is_exported_names_its_public_path(path: str, name: str) -> None:
    value = exported(path, name)
    if not isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return  # an alias of a type, or a table
    is_elsewhere = name in ELSEWHERE.get(path, ())
    assert value.__module__ in NAMES
    assert (value.__module__ == path) is not is_elsewhere
    assert exported(value.__module__, name) is value


@pytest.mark.parametrize(
    "value",
    [
        aioproducer.ProducerRecord("t", b"v", key=b"k", headers=[("h", b"1")]),
        aioproducer.RecordMetadata("t", 1, 2, 3),
        aioproducer.TopicPartition("t", 1),
        aioproducer.OffsetAndMetadata(5),
        aioproducer.ConsumerGroupMetadata("g"),
        aioproducer.TopicView("t", 1, (0,)),
        aioproducer.MetricsSnapshot({"record-send-total": 3}),
        aioproducer.ProducerStatus(is_ready=True),
        aioproducer.ErrorCode.NONE,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_pickled_by_their_public_path(value: Any) -> None:
    data = pickle.dumps(value)
    assert b"aioproducer._" not in data
    assert pickle.loads(data) == copy.copy(value) == value


def test_errors_are_pickled_by_their_public_path() -> None:
    data = pickle.dumps(aioproducer.BrokerError("refused", code=29, topic="t"))
    assert b"aioproducer.errors\x94\x8c\x0bBrokerError" in data
    assert pickle.loads(data).topic == "t"


def test_classes_and_records_show_their_public_path() -> None:
    assert repr(aioproducer.Producer) == "<class 'aioproducer.Producer'>"
    assert repr(aioproducer.Delivery) == "<class 'aioproducer.Delivery'>"
    assert repr(RecordingProducer) == "<class 'aioproducer.testing.RecordingProducer'>"


@pytest.mark.parametrize(
    "name",
    ["ConsumerGroupMetadata", "OffsetAndMetadata", "ProducerRecord", "RecordMetadata", "TopicPartition", "TopicView"],
)
def test_the_types_of_fields_can_be_looked_up(name: str) -> None:
    hints = typing.get_type_hints(exported("aioproducer", name))
    assert hints
    assert not any(isinstance(hint, str | typing.ForwardRef) for hint in hints.values())
