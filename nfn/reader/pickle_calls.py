"""Resolve the globals and calls of a pickle to stand-ins, without importing or calling anything."""

from typing import Any

from nfn.reader.errors import EXPORT_ADVICE, NetworkFileError, quote
from nfn.reader.numpy_rebuild import NUMPY_REBUILDERS
from nfn.reader.pickle_objects import Global, Inert, Instance, StateDict, class_name
from nfn.reader.rebuild import REBUILDERS

# fmt: off
_HOSTILE_MODULES = frozenset((
    "asyncio", "bdb", "code", "codeop", "commands", "ctypes", "ftplib", "http", "idlelib", "imp",
    "importlib", "marshal", "multiprocessing", "nt", "os", "pdb", "pickle", "pip", "popen2",
    "posix", "pty", "pydoc", "requests", "runpy", "shutil", "signal", "smtplib", "socket",
    "subprocess", "sys", "tempfile", "threading", "timeit", "urllib", "webbrowser", "_pickle",
    "_posixsubprocess",
))
# fmt: on
_HOSTILE_BUILTINS = frozenset(
    ["eval", "exec", "execfile", "compile", "open", "input", "breakpoint", "__import__", "globals", "apply"]
)


def safe_key(key: Any) -> Any:
    """Keep strings and ordinary integers; replace other dict keys (hashing nested tuples can take forever)."""
    if isinstance(key, str) or key is None or (isinstance(key, int) and abs(key) < 2**60):
        return key
    return Inert("key")


def name_global(module: str, name: str) -> Global:
    """The stand-in for a global that a pickle imports.

    Raises:
        NetworkFileError: the module or function can run code.
    """
    root = module.partition(".")[0]
    hostile_builtin = root in ("builtins", "__builtin__") and name in _HOSTILE_BUILTINS
    if root in _HOSTILE_MODULES or hostile_builtin:
        raise NetworkFileError(
            f"The checkpoint was refused: it tries to run {quote(f'{module}.{name}')} when opened. "
            f"It was not run. Do not open this file elsewhere; ask its author for safetensors."
        )
    if root == "joblib":
        raise NetworkFileError(
            "This is a dump of joblib, which keeps arrays between the steps of a pickle and is not read. "
            "Save it with pickle.dump, or its arrays with numpy.savez."
        )
    return Global(f"{module}.{name}")


def rebuild(function: Any, arguments: Any) -> Any:
    """The result of a call: that of a replacement function (`REBUILDERS`), or another stand-in."""
    if not isinstance(function, Inert) or not isinstance(arguments, tuple):
        raise malformed()
    if not isinstance(function, Global):
        return Inert(function.name)
    if function.name == "collections.OrderedDict":
        return _ordered(*arguments[:1])
    if function.name == "collections.defaultdict":
        return {}
    if function.name in ("copyreg._reconstructor", "copy_reg._reconstructor"):
        return Instance(class_name(arguments[0]))
    if function.name in NUMPY_REBUILDERS:
        return NUMPY_REBUILDERS[function.name](*arguments[:9])
    if function.name in REBUILDERS:
        named = (class_name(a) if isinstance(a, Global) else a for a in arguments[:9])
        return REBUILDERS[function.name](*named)
    return Instance(function.name)


def _ordered(pairs: Any = ()) -> StateDict:
    """An OrderedDict, which Python 2 pickles as a call with a list of pairs."""
    if not isinstance(pairs, (list, tuple)):
        raise malformed()
    return StateDict((safe_key(key), value) for key, value in pairs)


def refused(what: str) -> NetworkFileError:
    """The error for a pickle with content that no checkpoint needs."""
    return NetworkFileError(f"The checkpoint was refused: its pickle is {what}. {EXPORT_ADVICE}")


def malformed() -> NetworkFileError:
    """The error for a malformed pickle."""
    return NetworkFileError(f"The checkpoint is corrupt: its pickle cannot be followed. {EXPORT_ADVICE}")
