"""Definitions of mappings, as in the configuration (docs/reference/mappings.md)."""

from decimal import Decimal
from typing import ClassVar, Literal

from msgspec import Struct, field

Unit = Literal["ns", "us", "ms", "s"]
Encoding = Literal["json", "base64"]  # of base64, JSON or MessagePack
Otherwise = Literal["read", "drop", "reject"]

WHOLE_ENTRY = "fields"  # of `entry`: the fields of the stream entry are the event
ONLY_FIELD = "*"  # the event is in the only field, whatever its name


class Condition(Struct, frozen=True, kw_only=True):
    """A condition on the value at one path; all its settings must hold."""

    short: ClassVar = {"YamlText": "equals", "YamlList": "one_of"}  # the setting that a bare text or list stands for

    equals: str | None = None
    one_of: tuple[str, ...] = ()
    starts_with: str | None = None
    exists: bool | None = None
    above: Decimal | None = None
    differs_from: str | None = None


class Value(Struct, frozen=True, kw_only=True):
    """Where a field of the event comes from: a constant, or the first path with a value, and its conversions."""

    short: ClassVar = {"YamlText": "path", "YamlList": "path"}

    path: tuple[str, ...] = ()
    value: str | None = None
    words: dict[str, str] = {}
    otherwise: str | None = field(default=None, name="else")
    after: str = ""
    times: tuple[str, ...] = ()
    divide_by: Decimal | None = None
    scale: int | None = None
    minor_units: bool = False
    decimals: dict[str, int] = {}
    decimal_comma: bool = False
    zone: str = ""
    unit: Unit = "ms"
    since: tuple[str, ...] = ()


class Items(Struct, frozen=True, kw_only=True):
    """The items of an order: a list, which of its elements count, and the fields of each."""

    path: tuple[str, ...] = ()
    when: dict[str, Condition] = {}
    item: dict[str, Value] = {}


class Rule(Struct, frozen=True, kw_only=True):
    """The payloads that a rule takes, and their event; a rule with `drop` drops them."""

    name: str = ""
    when: dict[str, Condition] = {}
    drop: bool = False
    event: dict[str, Value | Items] = {}


class Definition(Struct, frozen=True, kw_only=True):
    """One mapping."""

    name: str = ""
    use: str = ""
    sources: tuple[str, ...] = ()
    entry: tuple[str, ...] = ("e",)
    values: Literal["text", "json"] = "text"
    drop_payloads: tuple[str, ...] = ()
    inner: dict[str, Encoding] = {}
    each: str = ""
    repeats: tuple[str, ...] = ()
    zone: str = ""
    event: dict[str, Value | Items] = {}
    rules: tuple[Rule, ...] = ()
    otherwise: Otherwise = "read"
