"""Any model on the Hub as a `Checkpoint`: `open_hub_checkpoint` reads its headers by byte ranges (kilobytes instead of
500 GB), `download_hub_checkpoint` its values too."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from nfn.checkpoint import Checkpoint, limits, open_bytes
from nfn.checkpoint.gguf import open_gguf
from nfn.checkpoint.safetensors_header import header_bytes, parse_header
from nfn.checkpoint.sharded import join_shards, read_index
from nfn.reader import NetworkFileError
from zoo import hub
from zoo.errors import HubError, shorten
from zoo.hub import HubRepo, Listing
from zoo.remote import HUB_ID

FIRST = 100_000
"""Bytes of the first request for a file, usually enough for the whole header (huggingface_hub does the same)."""
GGUF_STEPS = (2**20, 2**23, 2**25)
"""Sizes of successive requests for a GGUF file, until they hold the header and its vocabulary."""
SHARDS = 300
CONFIG_BYTES = 2**20
WORKERS = 8
_SINGLE = ("model.safetensors", "diffusion_pytorch_model.safetensors", "adapter_model.safetensors")


def open_hub_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in the model repository `owner/name[@revision]`; values are not downloaded.

    Raises:
        HubError: the Hub does not answer, or there is no such repository.
        NetworkFileError: it has no file that can be listed by byte ranges.
    """
    repo, listing = _find(text)
    checkpoint = _open(repo, listing, None)
    note = f"Read from {hub.host()}/{repo.id} at commit {listing.sha[:12]}: headers only."
    named = checkpoint.declared_name or _architecture_class(repo, listing)
    return replace(checkpoint, declared_name=named, notes=(note, *checkpoint.notes))


def download_hub_checkpoint(text: str, limit: int) -> Checkpoint:
    """As `open_hub_checkpoint`, with values: its files are downloaded into memory, if they have at most `limit` bytes.

    Raises:
        HubError: as for `open_hub_checkpoint`, or its files are larger.
        NetworkFileError: it has no file that can be listed.
    """
    repo, listing = _find(text)
    return _open(repo, listing, limit)


def _find(text: str) -> tuple[HubRepo, Listing]:
    match = HUB_ID.fullmatch(text)
    if not match or not hub.is_repo_id(match["repo"]):
        raise HubError(
            f"{shorten(text)} is not the id of a model on the Hub; expected owner/name, or owner/name@revision."
        )
    repo = HubRepo(match["repo"], "model")
    return repo, hub.list_files(repo, match["revision"])


def _open(repo: HubRepo, listing: Listing, limit: int | None) -> Checkpoint:
    indexes = sorted(name for name in listing.files if name.endswith(".safetensors.index.json"))
    singles = sorted(name for name in listing.files if name.endswith(".safetensors"))
    ggufs = sorted(name for name in listing.files if name.endswith(".gguf"))
    if indexes:
        return _sharded(repo, listing, min(indexes, key=_depth), limit)
    if singles:
        name = min(singles, key=lambda one: (one.rpartition("/")[2] not in _SINGLE, _depth(one)))
        return _note_siblings(_files(repo, listing, [name], limit)[0], name, singles)
    if ggufs:
        return _note_siblings(_files(repo, listing, ggufs[:1], limit)[0], ggufs[0], ggufs)
    kinds = sorted(
        {name.rpartition(".")[2] for name in listing.files if "." in name and not name.startswith(".")}
    )
    raise NetworkFileError(
        f"{repo.id} has no safetensors and no GGUF, which can be read in parts "
        f"(its files: {', '.join(kinds[:12]) or 'none'}). Download its weights and open the file itself."
    )


def _depth(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _note_siblings(checkpoint: Checkpoint, name: str, names: list[str]) -> Checkpoint:
    if len(names) == 1:
        return checkpoint
    return replace(
        checkpoint,
        notes=(*checkpoint.notes, f"This is {name}, one of {len(names):,} such files of the repository."),
    )


def _sharded(repo: HubRepo, listing: Listing, index: str, limit: int | None) -> Checkpoint:
    content = bytearray()
    hub.download(repo, listing.sha, index, limits.INDEX_BYTES, content.extend)
    places = read_index(bytes(content))
    folder = index.rpartition("/")[0]
    names = {name: f"{folder}/{name}" if folder else name for name in set(places.values())}
    if len(names) > SHARDS:
        raise NetworkFileError(f"{repo.id} has {len(names):,} shards; at most {SHARDS:,} are read.")
    there = [name for name in names if names[name] in listing.files]
    opened = dict(zip(there, _files(repo, listing, [names[name] for name in there], limit), strict=True))
    return join_shards(places, opened.get)


def _files(repo: HubRepo, listing: Listing, names: list[str], limit: int | None) -> list[Checkpoint]:
    """Some files of a repository: their headers, or all of them if they have at most `limit` bytes."""
    size = sum(listing.files[name].size for name in names)
    if limit is None:
        read = _gguf if names[:1] and names[0].endswith(".gguf") else _safetensors
    elif size <= limit:
        read = _download
    else:
        raise HubError(
            f"The weights of {repo.id} have {size / 10**6:,.0f} MB; at most {limit >> 20:,} MiB are downloaded here. "
            f"Get them with `hf download {repo.id}`, and compare the files."
        )
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda name: read(repo, listing, name), names))


def _download(repo: HubRepo, listing: Listing, name: str) -> Checkpoint:
    content = bytearray()
    hub.download(repo, listing.sha, name, listing.files[name].size, content.extend)
    return open_bytes(bytes(content))


def _safetensors(repo: HubRepo, listing: Listing, name: str) -> Checkpoint:
    size = listing.files[name].size
    first = hub.read_range(repo, listing.sha, name, 0, min(FIRST, size))
    end = 8 + header_bytes(first)
    if end > size:
        raise NetworkFileError(
            f"{name} of {repo.id} is truncated within its header: it has only {size:,} bytes."
        )
    rest = hub.read_range(repo, listing.sha, name, len(first), end) if end > len(first) else b""
    header = parse_header((first + rest)[8:end])
    broken = (
        f"{name} has {size:,} bytes but its header requires {header.end:,}: it was truncated or padded.",
    )
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


def _architecture_class(repo: HubRepo, listing: Listing) -> str:
    """The class named in the repository's `config.json`; "" if there is none."""
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
