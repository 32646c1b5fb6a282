"""The files that cost the reader most, one or more per cap of `nfn/reader/limits.py`, and what each costs.

`python tests/worst_files.py` measures them: every file is read in a process of its own that may take three times the
largest file in memory, and not a byte more (`RLIMIT_AS`). It prints a line of JSON per file.
"""

import io
import json
import math
import os
import pickle
import resource
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from hostile_files import BAD_HEADERS, header, long_integers  # noqa: E402
from onnx_bytes import model_of, protobuf  # noqa: E402
from reader_files import to_pickle, write_checkpoint  # noqa: E402

from nfn.reader import NetworkFileError, limits, read_network  # noqa: E402
from nfn.reader.legacy_file import LEGACY_MAGIC  # noqa: E402
from nfn.reader.stack import LAYERS, NETWORKS, read_networks  # noqa: E402

FACTOR, SECONDS = 3, 2.0
"""How many times the largest file the reader may take in memory, the file itself included, and how long."""
BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}
PAD = 80 * limits.MIB
STEPS = limits.PICKLE_OPCODES - 10
HEADER = limits.SAFETENSORS_HEADER_BYTES - 20
MOST = limits.ELEMENTS - 1000
LARGEST = (330, MOST // 330)
SINGLE, DOUBLE = (300, 87_000), (150, 87_000)
"""The largest layers of float32 and float64 that a file can hold."""
SIDE = 85
"""Of the layers of stacks: as many values as may be."""
LONG_NAME = "1a" * 240
NORM_PARTS = ("running_mean", "running_var", "weight", "bias")


def plain(shapes: Mapping[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str] | None = None) -> bytes:
    """A safetensors file of zeros."""
    entries: dict[str, object] = {"__metadata__": metadata or {}}
    end = 0
    for name, (dtype, shape) in shapes.items():
        start, end = end, end + math.prod(shape) * BYTES[dtype]
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    return header(entries, bytes(end))


def padded(pickled: bytes) -> bytes:
    """A checkpoint around a pickle, filled up towards the largest file with a storage that nobody uses."""
    with tempfile.TemporaryDirectory() as folder:
        return write_checkpoint(Path(folder, "net"), pickled, {"0": bytes(4), "pad": bytes(PAD)}).read_bytes()


def normed(dtype: str, shape: tuple[int, int], after: bool) -> bytes:
    """A layer between two others, with batch norm right before or right behind it."""
    out, into = shape
    width = into if after else out
    chain = {"0.weight": (dtype, (into, 1)), "1.weight": (dtype, shape), "2.weight": (dtype, (1, out))}
    norm = {f"{'0' if after else '1'}n.{name}": (dtype, (width,)) for name in ("running_mean", "running_var")}
    return plain({**chain, **norm}, {"batch_norm": "after" if after else "before"})


def named_norms() -> bytes:
    """As many layers and batch norms as may be, under long names full of numbers."""
    layers: dict[str, tuple[str, tuple[int, ...]]] = {
        f"{2 * i:05d}{LONG_NAME}.weight": ("F32", (2, 2)) for i in range(limits.LAYERS)
    }
    for part in ("running_mean", "running_var"):
        layers |= {f"{2 * i + 1:05d}{LONG_NAME}.{part}": ("F32", (2,)) for i in range(limits.LAYERS)}
    return plain(layers)


def puzzle() -> bytes:
    """Layers whose names tell no order, and whose shapes have none."""
    names = [chr(97 + i // 8) + chr(97 + i % 8) for i in range(limits.LAYERS)]
    return plain({f"{name}.weight": ("F32", (4, 4 if i < 62 else 3)) for i, name in enumerate(names)})


def stack(count: int, layers: int, width: int) -> bytes:
    """Networks in one file, each of square layers."""
    return plain({f"{i}.weight": ("F16", (count, width, width)) for i in range(layers)})


def stacked_norms(count: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Deep networks of tiny layers, each with a bias and a whole batch norm under long names, and counters beside."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for i in range(limits.LAYERS):
        stem, norm = f"{2 * i:05d}{LONG_NAME}", f"{2 * i + 1:05d}{LONG_NAME}"
        shapes |= {f"{stem}.weight": ("F32", (count, 2, 2)), f"{stem}.bias": ("F32", (count, 2))}
        shapes |= {f"{norm}.{part}": ("F32", (count, 2)) for part in NORM_PARTS}
    return shapes | {f"{i}.num_batches_tracked": ("I64", (count,)) for i in range(1500)}


def wide_text(key: bool) -> bytes:
    """A text of four bytes a character in memory, and of one in the file."""
    text = "\U0001f600" + "a" * (limits.PICKLE_BYTES - 100)
    pushed = b"X" + struct.pack("<I", len(text.encode())) + text.encode()
    return padded(b"}" + pushed + b"K\x01s." if key else pushed + b".")


def globals_of(count: int) -> bytes:
    return b"](" + b"".join(b"c%07d\n%06d\n" % (i, i) for i in range(count)) + b"e."


def legacy(pickled: bytes) -> bytes:
    """A checkpoint in the old format around a pickle, without storages."""
    return b"".join(
        [LEGACY_MAGIC, to_pickle(1001), to_pickle({"little_endian": True}), pickled, to_pickle([])]
    )


def array_as_text() -> bytes:
    """An array of protocol 2: each byte a character, most of which take two bytes."""
    array = np.full((100, 83_000), 0x3F8F8F8F, np.uint32).view(np.float32)
    return pickle.dumps({"0.weight": array}, 2)


def unpacked(size: int) -> bytes:
    """An archive of one array that is compressed to nothing."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, weight=np.zeros((300, size // 1200), np.float32))
    return buffer.getvalue()


def doubled(depth: int) -> bytes:
    """Tables that each hold the same table twice, which stands at 2^depth places."""
    return padded(
        b"}" + b"".join(b"q%c0}(\x8c\x01ah%c\x8c\x01bh%cu" % (i, i, i) for i in range(depth)) + b"."
    )


def modules(depth: int) -> bytes:
    """Modules that each hold the same module twice."""
    start = b"cA\nB\n)\x81}(\x8c\x0b_parameters}\x8c\x08_buffers}\x8c\x08_modules}"
    step = b"q%c0" + start + b"(\x8c\x01ah%c\x8c\x01bh%cuub"
    return padded(start + b"ub" + b"".join(step % (i, i, i) for i in range(depth)) + b".")


def weight_normed(outputs: int) -> bytes:
    data = plain({"0.weight_g": ("F32", (outputs, 1)), "0.weight_v": ("F32", (outputs, 87_000))})
    return data[: -4 * outputs * 87_001] + struct.pack("<f", 0.5) * outputs * 87_001


def nearly(key: str, count: int) -> bytes:
    """Long names that have to be looked at for what stands beside networks."""
    zeros = np.zeros((2, 2), np.float32)
    return padded(pickle.dumps({f"{key * count}{i}": zeros.copy() for i in range(1990)}, 2))


def settings() -> bytes:
    """Texts that are nearly settings, beside a network."""
    texts = {f"{i:04d}": f"{i}" + "w0=w_0: " * 375 for i in range(1300)}
    return padded(pickle.dumps({**texts, "0.weight": np.zeros((3, 2), np.float32)}, 2))


def varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)


def onnx_tensor(kind: int, shape: tuple[int, ...], values: bytes, field: int = 9) -> bytes:
    """A tensor "c0" in a graph: of a type by number, its values as raw bytes or in another field."""
    sizes = b"".join(b"\x08" + varint(n) for n in shape)
    return protobuf(5, sizes + b"\x10" + varint(kind) + protobuf(field, values) + protobuf(8, b"c0"))


def onnx_ports(features: int) -> bytes:
    """The input (any number, features) and an output of any shape."""
    dims = protobuf(1, b"") + protobuf(1, b"\x08" + varint(features))
    tensor_type = protobuf(1, b"\x08\x01" + protobuf(2, dims))
    return protobuf(11, protobuf(1, b"x") + protobuf(2, tensor_type)) + protobuf(12, protobuf(1, b"y"))


def onnx_layer(shape: tuple[int, int], kind: int, values: bytes, field: int = 9) -> bytes:
    """One linear layer as ONNX."""
    transposed = protobuf(5, protobuf(1, b"transB") + b"\x18\x01" + b"\xa0\x01\x02")
    gemm = protobuf(1, b"x") + protobuf(1, b"c0") + protobuf(2, b"y") + protobuf(4, b"Gemm") + transposed
    return model_of(protobuf(1, gemm) + onnx_tensor(kind, shape, values, field) + onnx_ports(shape[1]))


def onnx_constants(count: int, features: int, tensor: bytes, first: bytes = b"Abs") -> bytes:
    """A chain of constants that are computed from one another, and the input times the last."""
    operators = [first, *[b"Abs"] * (count - 1)]
    steps = [
        protobuf(1, protobuf(1, b"c%d" % i) + protobuf(2, b"c%d" % (i + 1)) + protobuf(4, op))
        for i, op in enumerate(operators)
    ]
    last = protobuf(
        1, protobuf(1, b"x") + protobuf(1, b"c%d" % count) + protobuf(2, b"y") + protobuf(4, b"MatMul")
    )
    return model_of(b"".join(steps) + last + tensor + onnx_ports(features))


def many(step: bytes, room: int = 1) -> bytes:
    """A list of what one step makes, as often as steps are taken; `room` is how many steps one takes."""
    return padded(b"](" + step * (STEPS // room) + b"e.")


WORST: dict[str, Callable[[], bytes]] = {
    "largest layer, float32": lambda: plain({"0.weight": ("F32", SINGLE)}),
    "largest layer, float16": lambda: plain({"0.weight": ("F16", LARGEST)}),
    "largest layer, bfloat16": lambda: plain({"0.weight": ("BF16", LARGEST)}),
    "largest layer, float64": lambda: plain({"0.weight": ("F64", DOUBLE)}),
    "batch norm behind it, float16": lambda: normed("F16", (325, 92_000), after=False),
    "batch norm before it, float16": lambda: normed("F16", (320, 92_000), after=True),
    "batch norm behind it, float64": lambda: normed("F64", (150, 86_500), after=False),
    "batch norm before it, float64": lambda: normed("F64", (148, 86_000), after=True),
    "64 layers and batch norms, long names": named_norms,
    "an order that is not found": puzzle,
    "1,990 vectors": lambda: plain(
        {"a.weight": ("F32", (2, 2)), **{f"v{i}": ("F32", (2,)) for i in range(1990)}}
    ),
    "names of nearly everything": lambda: nearly("a_" * 13 + ".", 36),
    "names of many parts": lambda: plain(
        {f"{chr(0x4E00 + i)}{'.a' * 400}.weight": ("F32", (4, 4)) for i in range(limits.LAYERS - 1)}
        | {"z.weight": ("F32", (9, 7))}
    ),
    "a name of one long word": lambda: nearly("a_" * 490, 1),
    "stack of one network": lambda: plain({"0.weight": ("F16", (1, *LARGEST))}),
    "stack of 1,000 networks": lambda: stack(NETWORKS, LAYERS // NETWORKS, SIDE),
    "stack of deep networks": lambda: stack(LAYERS // limits.LAYERS, limits.LAYERS, SIDE),
    "stack of deep networks with batch norms": lambda: plain(stacked_norms(LAYERS // limits.LAYERS)),
    "pickle of globals": lambda: padded(globals_of(STEPS)),
    "old format, of globals": lambda: legacy(globals_of(STEPS)),
    "pickle of objects": lambda: many(b"cA\nB\n)\x81", 3),
    "pickle of calls": lambda: many(b"cA\nB\n)R", 3),
    "tables at many places": lambda: doubled(30),
    "modules at many places": lambda: modules(30),
    "array as a text": array_as_text,
    "array that unpacks": lambda: unpacked(limits.FILE_BYTES - 400),
    "weight norm": lambda: weight_normed(160),
    "weight norm of too much": lambda: weight_normed(290),
    "kernel": lambda: plain({"0.kernel": ("F32", (87_000, 300)), "0.bias": ("F32", (300,))}),
    "pickle of texts": lambda: padded(b"](" + b"".join(b"\x8c\x0e%014d" % i for i in range(STEPS)) + b"e."),
    "pickle of wide text": lambda: wide_text(key=False),
    "pickle of a wide key": lambda: wide_text(key=True),
    "pickle of settings": settings,
    "pickle of sets": lambda: many(b"\x8f"),
    "pickle of dicts": lambda: many(b"}NNs", 4),
    "pickle of marks": lambda: padded(b"(" * STEPS + b"."),
    "pickle of long integers": long_integers,
    "pickle of steps": lambda: padded(b"N0" * limits.PICKLE_OPCODES + b"."),
    "largest ONNX layer, float32": lambda: onnx_layer(SINGLE, 1, bytes(4 * math.prod(SINGLE))),
    "largest ONNX layer, float16": lambda: onnx_layer(LARGEST, 10, bytes(2 * math.prod(LARGEST))),
    "largest ONNX layer, bfloat16": lambda: onnx_layer(LARGEST, 16, bytes(2 * math.prod(LARGEST))),
    "largest ONNX layer, float64": lambda: onnx_layer(DOUBLE, 11, bytes(8 * math.prod(DOUBLE))),
    "largest ONNX layer, list of floats": lambda: onnx_layer(SINGLE, 1, bytes(4 * math.prod(SINGLE)), 4),
    "ONNX, half floats one by one": lambda: onnx_layer((40, 87_000), 10, b"\x80\x80\x00" * 3_480_000, 5),
    "ONNX, empty nodes": lambda: model_of(protobuf(1, b"") * (limits.ONNX_FIELDS - 10)),
    "ONNX, numbers without end": lambda: model_of(protobuf(5, protobuf(7, bytes(PAD)))),
    "ONNX, comments": lambda: model_of(protobuf(10, b"a" * PAD)),
    "ONNX, constants in a chain": lambda: onnx_constants(9_990, 1, onnx_tensor(1, (1, 1), bytes(4))),
    "ONNX, large constants in a chain": lambda: onnx_constants(
        2, 100_000, onnx_tensor(1, (100_000, 149), bytes(59_600_000))
    ),
    "ONNX, constants made of a shape": lambda: onnx_constants(
        2, 100_000, onnx_tensor(7, (2,), struct.pack("<qq", 100_000, 149)), b"ConstantOfShape"
    ),
    "ONNX, a large constant": lambda: onnx_constants(
        1, 100_000, onnx_tensor(1, (100_000, 260), bytes(104_000_000))
    ),
    "ONNX, constants made for long": lambda: onnx_constants(
        9_000, 1, onnx_tensor(7, (2,), struct.pack("<qq", 3_330, 1)), b"ConstantOfShape"
    ),
    "header of dicts": lambda: header(b'{"a":[' + b'{"":0},' * (HEADER // 7 - 5) + b"0]}"),
    "header of lists": lambda: header(b'{"a":[' + b"[]," * (HEADER // 3 - 5) + b"0]}"),
    "header of depth": lambda: header(b'{"a":' + b"[" * (HEADER - 10)),
    "header of digits": lambda: header(b'{"a":[' + b",".join([b"9" * 4000] * 250) + b"]}"),
    "header of an overflow": lambda: header(BAD_HEADERS["overflow"][0]),
}  # fmt: skip


def cost(name: str, make: Callable[[], bytes], path: Path) -> dict[str, object]:
    """What reading the file as a stack costs, in a process of its own, and as one network if it is one."""
    _in_child(lambda: {"bytes": path.write_bytes(make())})
    ways = [read_network] * name.startswith(("largest", "batch")) + [read_networks]
    measured = [_least(lambda read=read: _measure(read, path)) for read in ways]
    worst = {what: max(one[what] for one in measured) for what in ("seconds", "mib")}
    return {
        **worst,
        "file": round(path.stat().st_size / limits.MIB, 1),
        "answers": [one["answer"] for one in measured],
    }


def read_small_files(folder: Path) -> None:
    """Load what every reading needs once, which is not counted: the processes are copies of this one."""
    small = folder / "small", folder / "small.onnx"
    small[0].write_bytes(plain({"0.weight": ("F32", (3, 2))}))
    small[1].write_bytes(onnx_layer((2, 3), 1, bytes(24)))
    for path in small:
        for read in (read_network, read_networks):
            read(path)


def _measure(read: Callable, path: Path) -> dict:
    before = _memory("VmRSS")
    room = FACTOR * limits.FILE_BYTES
    most = 1024 * _memory("VmSize") + room
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    start = time.process_time()
    try:
        answer = type(read(path)).__name__
    except NetworkFileError as error:
        answer = str(error)
    except (MemoryError, RuntimeError) as error:  # torch says RuntimeError when there is no memory
        answer = f"out of memory: {error}"
    seconds = time.process_time() - start
    return {"seconds": round(seconds, 2), "mib": round((_memory("VmHWM") - before) / 1024), "answer": answer}


def _memory(field: str) -> int:
    """KiB of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _least(measure: Callable[[], dict]) -> dict:
    """One measurement; if it takes too long the fastest of three, as other processes slow some down, and the most
    memory."""
    made = [_in_child(measure)]
    made += [_in_child(measure) for _ in range(2 * (made[0]["seconds"] >= SECONDS))]
    return min(made, key=lambda one: one["seconds"]) | {"mib": max(one["mib"] for one in made)}


def _in_child(measure: Callable[[], dict]) -> dict:
    """What `measure` gives in a copy of this process, which has but one thread."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        os.write(sending, json.dumps(measure()).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return json.loads(text or '{"seconds": 0, "mib": 0, "answer": "it ended without an answer"}')


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        read_small_files(Path(folder))
        for name, make in WORST.items():
            print(json.dumps({"name": name, **cost(name, make, Path(folder, "net"))}), flush=True)
