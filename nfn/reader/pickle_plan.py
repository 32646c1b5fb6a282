"""Interpret a pickle as data, without running code.

`split_steps` yields opcodes; the interpreter below applies them to a stack and builds plain containers,
`StoredTensor` descriptions, and stand-ins for objects (`pickle_objects`). Nothing is imported or called from the
file: REDUCE on a global looks up the global's *name* in a table of replacement functions, and an unknown name yields
another stand-in.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any

from nfn.reader import limits
from nfn.reader.errors import NetworkFileError
from nfn.reader.pickle_calls import malformed, name_global, rebuild, refused, safe_key
from nfn.reader.pickle_objects import Inert, Instance, StateDict, class_name
from nfn.reader.pickle_steps import LongText, split_steps
from nfn.reader.rebuild import StorageRef, make_storage_ref

# fmt: off
_PUSHED_ARGUMENT = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
))
# fmt: on
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NO_EFFECT = frozenset(("PROTO", "FRAME"))


Storages = Callable[[str, Any, Any], StorageRef]
"""Maps a storage's class, key and number of values to its bytes."""


def read_plan(data: memoryview, members: Mapping[str, memoryview]) -> Any:
    """The object in a pickle, with tensors as `StoredTensor` views into `members`.

    Raises:
        NetworkFileError: the pickle is malformed, above a limit, or names a function that can run code.
    """
    value, end = read_pickle(data, lambda kind, key, numel: make_storage_ref(kind, key, numel, members))
    if end != len(data):
        raise malformed()
    return value


def read_pickle(data: memoryview, storages: Storages) -> tuple[Any, int]:
    """The object in a pickle at the start of `data`, and the position after the pickle; see `read_plan`."""
    machine = _Machine(storages)
    try:
        return machine.run(data)
    except NetworkFileError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, struct.error, Warning) as error:
        raise malformed() from error


class _Machine:
    """The pickle virtual machine, limited to opcodes that build data."""

    def __init__(self, storages: Storages):
        self.storages = storages
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, data: memoryview) -> tuple[Any, int]:
        arrays = 0
        for count, (name, argument, position) in enumerate(split_steps(data)):
            if count >= limits.PICKLE_OPCODES:
                raise refused(f"more than {limits.PICKLE_OPCODES:,} steps long")
            if isinstance(argument, (memoryview, LongText)):
                arrays += len(argument if isinstance(argument, memoryview) else argument.data)
            if position - arrays > limits.PICKLE_BYTES:
                raise refused(
                    f"more than {limits.PICKLE_BYTES:,} bytes long, without the values of its arrays"
                )
            if name == "STOP":
                return self._finish(), position
            self._step(name, argument)
        raise malformed()

    def _finish(self) -> Any:
        if len(self.stack) != 1 or self.marked:
            raise malformed()
        return self.stack[0]

    def _step(self, name: str, argument: Any) -> None:
        if name in _PUSHED_ARGUMENT:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name not in _NO_EFFECT:
            handler = _HANDLERS.get(name)
            if handler is None:
                raise refused(f"using the step {name}, which torch.save never writes")
            handler(self, argument)

    def _pop_to_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def mark(self, _: Any) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._pop_to_mark()

    def pop_mark(self, _: Any) -> None:
        self._pop_to_mark()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def get(self, index: Any) -> None:
        self.stack.append(self.memo[int(index)])

    def put(self, index: Any) -> None:
        self.memo[int(index)] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def empty_list(self, _: Any) -> None:
        self.stack.append([])

    def empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def empty_set(self, _: Any) -> None:
        self.stack.append(Inert("set"))

    def list_of_marked(self, _: Any) -> None:
        items = self._pop_to_mark()
        self.stack.append(items)

    def tuple_of_marked(self, _: Any) -> None:
        items = self._pop_to_mark()
        self.stack.append(tuple(items))

    def dict_of_marked(self, _: Any) -> None:
        items = self._pop_to_mark()
        self.stack.append({})
        self._set_items(items)

    def set_of_marked(self, _: Any) -> None:
        self._pop_to_mark()
        self.stack.append(Inert("frozenset"))

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise malformed()
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        self.stack.append(items)

    def append(self, _: Any) -> None:
        item = self.stack.pop()
        self._extend([item])

    def appends(self, _: Any) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, Instance):
            target.items.extend(items)
        elif not isinstance(target, Inert):
            raise refused(f"appending to a {type(target).__name__}")

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set_items([key, value])

    def set_items(self, _: Any) -> None:
        self._set_items(self._pop_to_mark())

    def _set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        table = target.entries if isinstance(target, Instance) else target
        if isinstance(table, dict):
            table.update((safe_key(k), v) for k, v in zip(items[::2], items[1::2], strict=True))
        elif not isinstance(target, Inert):
            raise refused(f"setting an item of a {type(target).__name__}")

    def build(self, _: Any) -> None:
        """Set the state of a stand-in; ignored for state_dicts, an error for other objects."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Inert):
            target.set_state(state)
        elif not isinstance(target, StateDict):
            raise refused(f"setting attributes of a {type(target).__name__}")

    def global_by_argument(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self.stack.append(name_global(module, name))

    def global_by_stack(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise malformed()
        self.stack.append(name_global(module, name))

    def reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(rebuild(function, arguments))

    def new_object(self, _: Any) -> None:
        self.stack.pop()
        self._replace_class(self.stack.pop())

    def new_object_with_keywords(self, _: Any) -> None:
        del self.stack[-2:]
        self._replace_class(self.stack.pop())

    def instance_of_argument(self, argument: Any) -> None:
        self._pop_to_mark()
        self.global_by_argument(argument)
        self._replace_class(self.stack.pop())

    def instance_of_marked(self, _: Any) -> None:
        self._replace_class(self._pop_to_mark()[0])

    def _replace_class(self, kind: Any) -> None:
        self.stack.append(Instance(class_name(kind)))

    def persistent_id(self, _: Any) -> None:
        """Load a storage, which `torch.save` writes as ("storage", class, key, device, number of values).

        Files in the legacy format have a sixth part, None except in the oldest ones; and ("module", class, path,
        source) for a class.
        """
        parts = self.stack.pop()
        if isinstance(parts, tuple) and len(parts) == 4 and parts[0] == "module":
            self.stack.append(parts[1])
            return
        if not isinstance(parts, tuple) or len(parts) not in (5, 6) or parts[0] != "storage":
            raise malformed()
        if parts[5:] not in ((), (None,)):
            raise refused("one of storages that are parts of others, as PyTorch 0.1 wrote them")
        fields: tuple[Any, ...] = parts
        kind, key, numel = fields[1], fields[2], fields[4]
        self.stack.append(self.storages(class_name(kind), key, numel))


_HANDLERS = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_DICT": _Machine.empty_dict,
    "EMPTY_SET": _Machine.empty_set,
    "LIST": _Machine.list_of_marked,
    "TUPLE": _Machine.tuple_of_marked,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "DICT": _Machine.dict_of_marked,
    "FROZENSET": _Machine.set_of_marked,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "BUILD": _Machine.build,
    "GLOBAL": _Machine.global_by_argument,
    "STACK_GLOBAL": _Machine.global_by_stack,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.new_object,
    "NEWOBJ_EX": _Machine.new_object_with_keywords,
    "INST": _Machine.instance_of_argument,
    "OBJ": _Machine.instance_of_marked,
    "BINPERSID": _Machine.persistent_id,
}
