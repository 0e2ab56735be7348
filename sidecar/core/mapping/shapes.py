"""Shapes: structs with only the fields that a mapping reads, so that msgspec skips all others of a payload.

A payload that does not fit its shape (a list instead of an object, say) is decoded as a whole, and read by paths: it
becomes the same.
"""

from operator import attrgetter
from typing import Any, Protocol, TypeGuard

import msgspec

from sidecar.core.events.values import decimal
from sidecar.core.mapping.paths import Getter, PathStep, first_of, get_by, steps_of


class Lookup(Protocol):
    """Getters of paths, for one way to decode payloads."""

    def get(self, *paths: str) -> Getter:
        """Return a getter of the first of the paths that has a value, else `None`."""
        ...

    def exists(self, *paths: str) -> Getter:
        """Return the same for a caller that needs only to know whether there is a value, or its elements."""
        ...

    def elements(self, *paths: str) -> "Lookup":
        """Return the lookup for the elements of the list at one of the paths."""
        ...


class PlainLookup:
    """Getters for plain values."""

    def get(self, *paths: str) -> Getter:
        return first_of([get_by(steps_of(path)) for path in paths])

    def exists(self, *paths: str) -> Getter:
        return self.get(*paths)

    def elements(self, *paths: str) -> Lookup:
        return self


class _Node:
    """What is read of one value: some names of an object, the elements of a list, or the whole value."""

    def __init__(self) -> None:
        self.names: dict[str, _Node] = {}
        self.list_of: _Node | None = None
        self.whole = False

    @property
    def is_any(self) -> bool:
        """Whether the whole value is decoded."""
        return self.whole or bool(self.names) == (self.list_of is not None)

    def along(self, steps: tuple[PathStep, ...]) -> "_Node":
        """Return the node at a path, created if need be; a list that is read by index is decoded as a whole."""
        node = self
        for step in steps:
            if not can_be_read(step):
                node.whole = True
                return node
            node = node.names.setdefault(step, _Node())
        return node

    def reached(self, steps: tuple[PathStep, ...]) -> "tuple[_Node, int]":
        """Return the first node on the path that is decoded as a whole, else the one at its end, and its depth."""
        node = self
        for at, step in enumerate(steps):
            if node.is_any:
                return node, at
            node = node.names[str(step)]
        return node, len(steps)

    def type(self) -> Any:
        """Return the type to decode to."""
        if self.is_any:
            return Any
        if self.list_of is not None:
            return list[self.list_of.type()]  # type: ignore[misc]  # a type made here
        fields = [(f"f{at}", node.type() | None, None) for at, node in enumerate(self.names.values())]
        rename = {f"f{at}": name for at, name in enumerate(self.names)}
        return msgspec.defstruct("Shape", fields, rename=rename, gc=False)


_nothing: Getter = {}.get  # as long as only paths are taken down


class Paths:
    """Collects the paths that are read, for their Shape."""

    def __init__(self, root: _Node | None = None, groups: list[list[tuple[PathStep, ...]]] | None = None) -> None:
        self.root = root or _Node()
        self._groups = [] if groups is None else groups

    def get(self, *paths: str) -> Getter:
        for path in paths:
            self.root.along(steps_of(path)).whole = True
        return _nothing

    def exists(self, *paths: str) -> Getter:
        for path in paths:
            self.root.along(steps_of(path))
        return _nothing

    def elements(self, *paths: str) -> "Paths":
        steps = [steps_of(path) for path in paths]
        element = _Node()
        for one in steps:
            self.root.along(one).list_of = element
        self._groups.append(steps)
        return Paths(element)

    def shape(self) -> "Shape":
        """Return the shape of all paths so far."""
        for group in self._groups:  # if one of a group is decoded as a whole, all are
            if any(node.is_any or at < len(steps) for steps in group for node, at in [self.root.reached(steps)]):
                for steps in group:
                    self.root.along(steps).whole = True
        return Shape(self.root)


class Shape:
    """Getters for a struct."""

    def __init__(self, root: _Node) -> None:
        self._root = root
        kind = dict[str, Any] if root.is_any else root.type()  # an object in any case
        self._decode = msgspec.json.Decoder(kind, float_hook=decimal).decode

    def decode(self, payload: bytes) -> Any:
        """Decode a payload. Raises what UNREADABLE names."""
        if not payload.isascii():
            payload.decode()  # msgspec checks the UTF-8 only of what it does not skip
        return self._decode(payload)

    def get(self, *paths: str) -> Getter:
        return first_of([self._getter(steps_of(path)) for path in paths])

    def exists(self, *paths: str) -> Getter:
        return self.get(*paths)

    def elements(self, *paths: str) -> Lookup:
        node = self._root.reached(steps_of(paths[0]))[0]
        return PlainLookup() if node.is_any or node.list_of is None else Shape(node.list_of)

    def _getter(self, steps: tuple[PathStep, ...]) -> Getter:
        at = self._root.reached(steps)[1]
        attributes, inner = [], self._root
        for step in steps[:at]:
            attributes.append(f"f{list(inner.names).index(str(step))}")
            inner = inner.names[str(step)]
        rest = get_by(steps[at:])
        return _attribute(attributes, rest if at < len(steps) else None) if attributes else rest


def can_be_read(step: PathStep) -> TypeGuard[str]:
    """Return whether a step is the name of a field that a struct can have."""
    return isinstance(step, str) and step.isprintable() and '"' not in step and "\\" not in step


def _attribute(names: list[str], then: Getter | None) -> Getter:
    """Return a getter that follows attributes; `then` reads the plain value at the last one."""
    *before, last = names
    if not before and then is None:
        return attrgetter(last)

    def get(value: Any) -> Any:
        for name in before:
            value = getattr(value, name)
            if value is None:
                return None
        found = getattr(value, last)
        return found if then is None or found is None else then(found)

    return get
