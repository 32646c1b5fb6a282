"""A small Hub on this machine for the real client: repositories, commits, large files, byte ranges, failures.

`with LoopbackHub() as hub:` serves an empty one at `hub.url`; `python tests/loopback_hub.py [PORT]` does so by hand.
"""

import base64
import hashlib
import json
import re
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

API = re.compile(
    r"/api/(models|datasets|spaces)/([^/]+/[^/]+)(?:/(revision|tree|preupload|commit|paths-info)/([^/]+)(?:/(.+))?)?"
)
RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
BATCH = re.compile(r"/(datasets/|spaces/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch")
LARGE = (".safetensors", ".parquet", ".gguf")
HTML = b"<html><body>Please log in to the hotel's wireless network.</body></html>"


@dataclass
class Failure:
    """What to do wrong on requests whose path contains `path`, so many times."""

    kind: str
    path: str
    times: int | None


@dataclass(frozen=True)
class Request:
    """What came in."""

    method: str
    path: str
    token: bool
    range: str | None


class LoopbackHub:
    """The server; `repos` maps (kind, id) to commits, each a sha and the content of every path."""

    def __init__(self, port: int = 0):
        self.repos: dict[tuple[str, str], list[tuple[str, dict[str, bytes]]]] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.private = False
        """Whether repositories are there for those with a token only."""
        self.healed = threading.Event()
        self._failure: Failure | None = None
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.storage = self.url.replace("127.0.0.1", "localhost")
        """Where large files are sent for: another host, as on the Hub."""

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Be down: connections are refused from now on."""
        self.heal()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()

    def fail(self, kind: str, path: str = "", times: int | None = None) -> None:
        """From now on fail so: a status such as 429, gated, disabled, slow, hang, html, corrupt, cut or norange."""
        self.healed.clear()
        self._failure = Failure(kind, path, times)

    def heal(self) -> None:
        """Work again."""
        self._failure = None
        self.healed.set()

    def failure_for(self, path: str) -> str | None:
        """How to fail this request, if at all."""
        failure = self._failure
        if failure is None or failure.path not in path or failure.times == 0:
            return None
        if failure.times is not None:
            failure.times -= 1
        return failure.kind

    def create(self, kind: str, repo: str) -> None:
        """A new repository, with what a new one on the Hub holds."""
        self.repos[kind, repo] = []
        self.commit(kind, repo, {".gitattributes": b"*.safetensors filter=lfs\n"}, [])

    def commit(self, kind: str, repo: str, added: dict[str, bytes], deleted: list[str]) -> str:
        """The id of a new commit on main."""
        commits = self.repos[kind, repo]
        files = {
            path: content
            for path, content in (commits[-1][1] if commits else {}).items()
            if path not in deleted
        }
        files |= added
        sha = hashlib.sha1(f"{kind}{repo}{len(commits)}{sorted(files)}".encode()).hexdigest()
        commits.append((sha, files))
        return sha

    def find(self, kind: str, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """A commit by its id, or the newest for main."""
        commits = self.repos[kind, repo]
        return commits[-1] if revision == "main" else next((c for c in commits if c[0] == revision), None)


class _Server(ThreadingHTTPServer):
    """Knows its connections, for clients keep them open and would find a stopped server still there."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._connections = []

    def process_request(self, request, client_address):
        self._connections.append(request)
        super().process_request(request, client_address)

    def hang_up(self) -> None:
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def blob_id(content: bytes) -> str:
    """Git's name for a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    """What the Hub calls a large file."""
    return hashlib.sha256(content).hexdigest()


def _handler(hub: LoopbackHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format, *args):
            pass

        def do_GET(self):
            self._note()
            path = unquote(urlsplit(self.path).path)
            failure = hub.failure_for(path)
            if failure and self._failed(failure):
                return
            if match := RESOLVE.fullmatch(path):
                return self._resolve(
                    "datasets" if match[1] else "models", match[2], match[3], match[4], failure
                )
            if path.startswith("/large/"):
                return self._send_file(hub.large[path.removeprefix("/large/")], failure)
            match = API.fullmatch(path)
            if match and match[3] == "tree":
                return self._tree(match[1], match[2], match[4], match[5])
            if match:
                return self._info(match[1], match[2], match[4] or "main", failure)
            self._error(404)

        do_HEAD = do_GET

        def do_POST(self):
            self._note()
            path = unquote(urlsplit(self.path).path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            failure = hub.failure_for(path)
            if failure and self._failed(failure):
                return
            if path == "/api/repos/create":
                return self._create(json.loads(body))
            if path == "/api/validate-yaml":
                return self._json({"errors": [], "warnings": []})
            if match := BATCH.fullmatch(path):
                return self._batch(json.loads(body))
            match = API.fullmatch(path)
            if match and match[3] == "paths-info":
                return self._paths(match[1], match[2], match[4], parse_qs(body.decode())["paths"])
            if match and match[3] == "preupload":
                return self._preupload(match[1], match[2], json.loads(body))
            if match and match[3] == "commit":
                return self._commit(match[1], match[2], [json.loads(line) for line in body.splitlines()])
            self._error(404)

        def do_PUT(self):
            self._note()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if failure := hub.failure_for(self.path):
                return self._failed(failure)
            assert sha256(body) == self.path.rsplit("/", 1)[1], (
                "The client sent another file than it announced."
            )
            hub.large[sha256(body)] = body
            self._json({})

        def _note(self) -> None:
            token, wanted = "Authorization" in self.headers, self.headers.get("Range")
            hub.requests.append(Request(self.command, unquote(urlsplit(self.path).path), token, wanted))

        def _failed(self, kind: str) -> bool:
            if kind == "hang":
                hub.healed.wait(30)
                self.close_connection = True
            elif kind == "html":
                self._send(200, HTML, {"Content-Type": "text/html; charset=utf-8"})
            elif kind == "gated":
                self._error(403, "GatedRepo")
            elif kind == "disabled":
                self._error(403, message="Access to this resource is disabled.")
            elif kind.isdecimal():
                self._error(int(kind))
            return kind in ("hang", "html", "gated", "disabled") or kind.isdecimal()

        def _create(self, wanted: dict) -> None:
            kind, repo = f"{wanted.get('type', 'model')}s", f"{wanted['organization']}/{wanted['name']}"
            prefix = "" if kind == "models" else f"{kind}/"
            status = 409 if (kind, repo) in hub.repos else 200
            if status == 200:
                hub.create(kind, repo)
            body = json.dumps({"url": f"{hub.url}/{prefix}{repo}"}).encode()
            self._send(status, body, {"Content-Type": "application/json"})

        def _info(self, kind: str, repo: str, revision: str, failure: str | None) -> None:
            found = self._find(kind, repo, revision)
            if found is None:
                return
            sha, files = found
            entries = [_sibling(path, content) for path, content in sorted(files.items())]
            content = json.dumps({"id": repo, "sha": sha, "siblings": entries, "private": False, "tags": []})
            self._send_file(content.encode(), failure, {"Content-Type": "application/json"})

        def _tree(self, kind: str, repo: str, revision: str, folder: str | None) -> None:
            if found := self._find(kind, repo, revision):
                start = f"{folder}/" if folder else ""
                inside = {path: entry for path, entry in _tree(found[1]).items() if path.startswith(start)}
                if folder and not inside:
                    return self._error(404, "EntryNotFound")
                deep = parse_qs(urlsplit(self.path).query).get("recursive") == ["true"]
                self._json([entry for path, entry in inside.items() if deep or "/" not in path[len(start) :]])

        def _paths(self, kind: str, repo: str, revision: str, paths: list[str]) -> None:
            if found := self._find(kind, repo, revision):
                entries = _tree(found[1])
                self._json([entries[path] for path in paths if path in entries])

        def _resolve(self, kind: str, repo: str, revision: str, path: str, failure: str | None) -> None:
            found = self._find(kind, repo, revision)
            if found is None:
                return
            sha, files = found
            if path not in files:
                return self._error(404, "EntryNotFound")
            content, facts = files[path], {"X-Repo-Commit": sha, "ETag": f'"{blob_id(files[path])}"'}
            if path.endswith(LARGE):
                name = sha256(content)
                hub.large[name] = content
                facts |= {"X-Linked-Etag": f'"{name}"', "X-Linked-Size": str(len(content))}
                return self._send(302, b"", {**facts, "Location": f"{hub.storage}/large/{name}"})
            self._send_file(content, failure, facts)

        def _find(self, kind: str, repo: str, revision: str):
            hidden = hub.private and "Authorization" not in self.headers
            if hidden or (kind, repo) not in hub.repos:
                return self._error(401, "RepoNotFound")
            return hub.find(kind, repo, revision) or self._error(404, "RevisionNotFound")

        def _send_file(
            self, content: bytes, failure: str | None, headers: dict[str, str] | None = None
        ) -> None:
            status, facts = 200, {"Accept-Ranges": "bytes", **(headers or {})}
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if wanted and failure != "norange":
                start, stop = int(wanted[1]), min(int(wanted[2]) + 1, len(content))
                status, facts["Content-Range"] = 206, f"bytes {start}-{stop - 1}/{len(content)}"
                content = content[start:stop]
            if failure == "corrupt":
                content = content[:-1] + bytes([content[-1] ^ 1])
            self._send(status, content, facts, failure)

        def _batch(self, wanted: dict) -> None:
            objects = []
            for one in wanted["objects"]:
                action = {"actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}}
                objects.append({**one, **({} if one["oid"] in hub.large else action)})
            self._json({"transfer": "basic", "objects": objects})

        def _preupload(self, kind: str, repo: str, wanted: dict) -> None:
            files = hub.repos[kind, repo][-1][1]
            self._json({"files": [{
                "path": file["path"], "shouldIgnore": False,
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "oid": blob_id(files[file["path"]]) if file["path"] in files else None,
            } for file in wanted["files"]]})  # fmt: skip

        def _commit(self, kind: str, repo: str, lines: list[dict]) -> None:
            added, deleted = {}, []
            for line in lines:
                value = line["value"]
                if line["key"] == "header" and value.get("parentCommit") not in (
                    None,
                    hub.repos[kind, repo][-1][0],
                ):
                    return self._error(412)
                if line["key"] == "file":
                    added[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    added[value["path"]] = hub.large[value["oid"]]
                elif line["key"] == "deletedFile":
                    deleted.append(value["path"])
            sha = hub.commit(kind, repo, added, deleted)
            self._json({"commitUrl": f"{hub.url}/{repo}/commit/{sha}", "commitOid": sha, "success": True})

        def _json(self, content) -> None:
            self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _error(self, status: int, code: str | None = None, message: str | None = None) -> None:
            facts = {
                "X-Error-Code": code,
                "X-Error-Message": message,
                "Retry-After": "120" if status == 429 else None,
            }
            body = json.dumps({"error": code or status}).encode()
            self._send(status, body, {key: value for key, value in facts.items() if value})

        def _send(
            self, status: int, content: bytes, headers: dict[str, str], failure: str | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            with suppress(OSError):
                if failure == "cut":
                    self.wfile.write(content[: len(content) // 2])
                    self.close_connection = True
                elif failure == "slow":
                    for i in range(len(content)):
                        self.wfile.write(content[i : i + 1])
                        if hub.healed.wait(0.1):
                            return
                else:
                    self.wfile.write(content)

    return Handler


def _sibling(path: str, content: bytes) -> dict:
    large = {"sha256": sha256(content), "size": len(content), "pointerSize": 134}
    return {"rfilename": path, "size": len(content), "blobId": blob_id(content),
            **({"lfs": large} if path.endswith(LARGE) else {})}  # fmt: skip


def _tree(files: dict[str, bytes]) -> dict[str, dict]:
    """The entries of a commit by path: its files and the folders that they lie in."""
    entries = {}
    for path, content in sorted(files.items()):
        for folder in list(PurePosixPath(path).parents)[-2::-1]:
            entries[str(folder)] = {
                "type": "directory",
                "path": str(folder),
                "oid": blob_id(bytes(folder)),
                "size": 0,
            }
        large = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
        entries[path] = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content),
                         **({"lfs": large} if path.endswith(LARGE) else {})}  # fmt: skip
    return entries


if __name__ == "__main__":
    with LoopbackHub(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as served:
        print(f"export HF_ENDPOINT={served.url} HF_HUB_DISABLE_XET=1 HF_TOKEN=anything", flush=True)
        threading.Event().wait()
