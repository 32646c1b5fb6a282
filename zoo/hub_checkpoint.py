"""`open_hub_checkpoint`: any model on the Hub as a `Checkpoint`, read by byte ranges (kilobytes of 500 GB)."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from nfn.checkpoint import Checkpoint, limits
from nfn.checkpoint.gguf import open_gguf
from nfn.checkpoint.safetensors_header import header_bytes, parse_header
from nfn.checkpoint.sharded import join_shards, read_index
from nfn.reader import NetworkFileError
from zoo import hub
from zoo.errors import HubError, shorten
from zoo.hub import HubRepo, Listing
from zoo.remote import HUB_ID

FIRST = 100_000
"""Bytes of a file that are asked for at once: the whole header, mostly (huggingface_hub does the same)."""
GGUF_STEPS = (2**20, 2**23, 2**25)
"""Bytes of a GGUF file that are asked for, one after the other, until they hold the header and its vocabulary."""
SHARDS = 300
CONFIG_BYTES = 2**20
WORKERS = 8
_SINGLE = ("model.safetensors", "diffusion_pytorch_model.safetensors", "adapter_model.safetensors")


def open_hub_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in the model repository `owner/name[@revision]`; values are not fetched.

    Raises:
        HubError: the Hub does not answer, or there is no such repository.
        NetworkFileError: it holds nothing that can be listed by ranges.
    """
    match = HUB_ID.fullmatch(text)
    if not match or not hub.is_repo_id(match["repo"]):
        raise HubError(
            f"{shorten(text)!r} is no id of a model on the Hub; wanted owner/name, or owner/name@revision."
        )
    repo = HubRepo(match["repo"], "model")
    listing = hub.list_files(repo, match["revision"])
    found = _open(repo, listing)
    note = f"Read from {hub.host()}/{repo.id} at commit {listing.sha[:12]}: headers only."
    return replace(found, told=found.told or _told(repo, listing), notes=(note, *found.notes))


def _open(repo: HubRepo, listing: Listing) -> Checkpoint:
    indexes = sorted(name for name in listing.files if name.endswith(".safetensors.index.json"))
    singles = sorted(name for name in listing.files if name.endswith(".safetensors"))
    ggufs = sorted(name for name in listing.files if name.endswith(".gguf"))
    if indexes:
        return _sharded(repo, listing, min(indexes, key=_depth))
    if singles:
        name = min(singles, key=lambda one: (one.rpartition("/")[2] not in _SINGLE, _depth(one)))
        return _beside(_safetensors(repo, listing, name), name, singles)
    if ggufs:
        return _beside(_gguf(repo, listing, ggufs[0]), ggufs[0], ggufs)
    kinds = sorted(
        {name.rpartition(".")[2] for name in listing.files if "." in name and not name.startswith(".")}
    )
    raise NetworkFileError(
        f"{repo.id} has no safetensors and no GGUF, which can be read in parts "
        f"(its files: {', '.join(kinds[:12]) or 'none'}). Download its weights and look at the file itself."
    )


def _depth(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _beside(found: Checkpoint, name: str, names: list[str]) -> Checkpoint:
    if len(names) == 1:
        return found
    return replace(
        found, notes=(*found.notes, f"This is {name}, one of {len(names):,} such files of the repository.")
    )


def _sharded(repo: HubRepo, listing: Listing, index: str) -> Checkpoint:
    content = bytearray()
    hub.download(repo, listing.sha, index, limits.INDEX_BYTES, content.extend)
    places = read_index(bytes(content))
    folder = index.rpartition("/")[0]
    names = {name: f"{folder}/{name}" if folder else name for name in set(places.values())}
    if len(names) > SHARDS:
        raise NetworkFileError(f"{repo.id} has {len(names):,} shards; at most {SHARDS:,} are read.")
    there = [name for name in names if names[name] in listing.files]
    with ThreadPoolExecutor(WORKERS) as pool:
        opened = dict(
            zip(there, pool.map(lambda name: _safetensors(repo, listing, names[name]), there), strict=True)
        )
    return join_shards(places, opened.get)


def _safetensors(repo: HubRepo, listing: Listing, name: str) -> Checkpoint:
    size = listing.files[name].size
    first = hub.read_range(repo, listing.sha, name, 0, min(FIRST, size))
    end = 8 + header_bytes(first)
    if end > size:
        raise NetworkFileError(
            f"{name} of {repo.id} is cut short within its header: {size:,} bytes are there."
        )
    rest = hub.read_range(repo, listing.sha, name, len(first), end) if end > len(first) else b""
    header = parse_header((first + rest)[8:end])
    broken = (f"{name} has {size:,} bytes where its header asks for {header.end:,}: it was cut or padded.",)
    return Checkpoint(
        "safetensors", header.tensors, header.metadata, broken=() if size == header.end else broken
    )


def _gguf(repo: HubRepo, listing: Listing, name: str) -> Checkpoint:
    size = listing.files[name].size
    for step in GGUF_STEPS[:-1]:
        try:
            return open_gguf(memoryview(hub.read_range(repo, listing.sha, name, 0, min(step, size))), size)
        except NetworkFileError:
            continue  # the header may be longer than this
    return open_gguf(memoryview(hub.read_range(repo, listing.sha, name, 0, min(GGUF_STEPS[-1], size))), size)


def _told(repo: HubRepo, listing: Listing) -> str:
    """The class that the repository's `config.json` names; "" where it names none."""
    if "config.json" not in listing.files or listing.files["config.json"].size > CONFIG_BYTES:
        return ""
    content = bytearray()
    hub.download(repo, listing.sha, "config.json", CONFIG_BYTES, content.extend)
    try:
        config = json.loads(content)
        names = config.get("architectures") or [config.get("_class_name") or config.get("model_type") or ""]
        return str(names[0])[:60]
    except (ValueError, AttributeError, KeyError, IndexError, TypeError, RecursionError):
        return ""
