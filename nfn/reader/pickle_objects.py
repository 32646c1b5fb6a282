"""What stands where a pickle has an object: the name of its class, and its attributes as plain data."""

from typing import Any


class Inert:
    """What stands where an object of a class or function that we do not know would be."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def set_state(self, state: Any) -> None:
        """Take what a pickle sets as the object's attributes."""


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
        """The attributes by name; of classes with slots, these come second."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        found: dict[Any, Any] = {}
        for part in parts[:2]:
            if isinstance(part, dict):
                found.update(part)
        return found


class StateDict(dict):
    """A dict that the file calls an OrderedDict: the only kind that may carry attributes (`_metadata`)."""


def class_name(kind: Any) -> str:
    """The name of a class that stands in a pickle."""
    return kind.name if isinstance(kind, Inert) else type(kind).__name__
