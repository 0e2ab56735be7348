"""The messages of client_model's metrics.proto, read by protobuf's own library."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, message_factory, timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool

PACKAGE = "io.prometheus.client"
# By message: its fields as `number name type`, `*` for repeated ones.
MESSAGES = {
    "LabelPair": "1 name string, 2 value string",
    "Gauge": "1 value double",
    "Counter": "1 value double, 2 exemplar Exemplar, 3 created_timestamp Timestamp",
    "Histogram": "1 sample_count uint64, 2 sample_sum double, 3 bucket* Bucket, 4 sample_count_float double,"
    "5 schema sint32, 6 zero_threshold double, 7 zero_count uint64, 8 zero_count_float double,"
    "9 negative_span* BucketSpan, 10 negative_delta* sint64, 11 negative_count* double,"
    "12 positive_span* BucketSpan, 13 positive_delta* sint64, 14 positive_count* double,"
    "15 created_timestamp Timestamp, 16 exemplars* Exemplar",
    "Bucket": "1 cumulative_count uint64, 2 upper_bound double, 3 exemplar Exemplar, 4 cumulative_count_float double",
    "BucketSpan": "1 offset sint32, 2 length uint32",
    "Exemplar": "1 label* LabelPair, 2 value double, 3 timestamp Timestamp",
    "Metric": "1 label* LabelPair, 2 gauge Gauge, 3 counter Counter, 6 timestamp_ms int64, 7 histogram Histogram",
    "MetricFamily": "1 name string, 2 help string, 3 type uint32, 4 metric* Metric, 5 unit string",
}
NUMBERS = descriptor_pb2.FieldDescriptorProto


def _family_class() -> Any:
    """Build the class of MetricFamily."""
    file = descriptor_pb2.FileDescriptorProto(
        name="metrics.proto", package=PACKAGE, syntax="proto2", dependency=["google/protobuf/timestamp.proto"]
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind in (one.split() for one in fields.split(",")):
            label = NUMBERS.LABEL_REPEATED if field.endswith("*") else NUMBERS.LABEL_OPTIONAL
            added = message.field.add(name=field.rstrip("*"), number=int(number), label=label)
            if kind[0].islower():
                added.type = NUMBERS.Type.Value(f"TYPE_{kind.upper()}")
            else:
                added.type = NUMBERS.TYPE_MESSAGE
                added.type_name = ".google.protobuf.Timestamp" if kind == "Timestamp" else f".{PACKAGE}.{kind}"
    pool = DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.MetricFamily"))


MetricFamily = _family_class()
COUNTER, GAUGE, HISTOGRAM = 0, 1, 4


def decoded(exposed: bytes) -> dict[str, Any]:
    """Return every family by name; nothing in them may be unknown, and no name may come twice."""
    families = list(_messages(exposed))
    for family in families:
        again = MetricFamily()
        again.CopyFrom(family)
        again.DiscardUnknownFields()
        assert again == family
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def _messages(exposed: bytes) -> Iterator[Any]:
    at = 0
    while at < len(exposed):
        size = shift = 0
        while True:
            size |= (exposed[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if exposed[at - 1] < 0x80:
                break
        yield MetricFamily.FromString(exposed[at : at + size])
        at += size


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(families: dict[str, Any]) -> Samples:
    """Return the classic samples as the text formats have them."""
    found: Samples = {}
    for name, family in families.items():
        for metric in family.metric:
            labels = frozenset((pair.name, pair.value) for pair in metric.label)
            if family.type == HISTOGRAM:
                found[f"{name}_count", labels] = metric.histogram.sample_count
                found[f"{name}_sum", labels] = metric.histogram.sample_sum
                for bucket in metric.histogram.bucket:
                    le = repr(bucket.upper_bound).replace("inf", "+Inf")
                    found[f"{name}_bucket", labels | {("le", le)}] = bucket.cumulative_count
            else:
                found[name, labels] = (metric.counter if family.type == COUNTER else metric.gauge).value
    return found


def fine(histogram: Any) -> dict[int, int]:
    """Return the counts of a native histogram's buckets by index."""
    assert sum(span.length for span in histogram.positive_span) == len(histogram.positive_delta)
    counts: dict[int, int] = {}
    deltas = iter(histogram.positive_delta)
    at = count = 0
    for span in histogram.positive_span:
        at += span.offset
        for _ in range(span.length):
            count += next(deltas)
            counts[at] = count
            at += 1
    return counts
