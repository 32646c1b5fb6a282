"""Stand-ins for the objects in a pickle: the name of the class, and attributes as plain data."""

from typing import Any


class Inert:
    """A stand-in for an object of an unknown class or function."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def set_state(self, state: Any) -> None:
        """Ignore the attributes that the pickle sets."""


class Global(Inert):
    """A class or function that the pickle names; it is never imported."""

    __slots__ = ()


class Instance(Inert):
    """An object of any class: its attributes, and its items if the class is a kind of dict or list."""

    __slots__ = ("entries", "items", "state")

    def __init__(self, name: str):
        super().__init__(name)
        self.state: Any = None
        self.entries: dict[Any, Any] = {}
        self.items: list[Any] = []

    def set_state(self, state: Any) -> None:
        self.state = state

    @property
    def attributes(self) -> dict[Any, Any]:
        """The attributes by name, including slots."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        attributes: dict[Any, Any] = {}
        for part in parts[:2]:
            if isinstance(part, dict):
                attributes.update(part)
        return attributes


class StateDict(dict):
    """A dict from an OrderedDict in the file: the only dict that may have attributes (`_metadata`)."""


def class_name(kind: Any) -> str:
    """The class name of a stand-in or of a plain value."""
    return kind.name if isinstance(kind, Inert) else type(kind).__name__
