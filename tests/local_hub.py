"""A stand-in for the Hugging Face Hub on this machine: it keeps what it is given in memory, and talks as far as this project listens.

Repositories have commits with a parent, private ones need the token, Spaces have secrets and variables. `on_request` is
called before and after each request, so that a test can end a client at any of its steps.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_local"


class LocalHub:
    "Repositories by kind and name: `datasets/owner/name`, `models/...`, `spaces/...`."

    def __init__(self):
        self.files: dict[str, dict[str, bytes]] = {}
        self.heads: dict[str, str] = {}
        self.history: dict[str, list[dict[str, bytes]]] = {}  # what each commit that can still be reached holds
        self.private: dict[str, bool] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.requests: list[str] = []
        self.down = False  # refuses everything
        self.on_request: Callable[[str, str], None] = lambda when, request: None  # when: before, after
        self.lock = threading.Lock()
        self.endpoint = ""

    def create(self, name: str, private: bool) -> None:
        self.files.setdefault(name, {})
        self.private.setdefault(name, private)
        if name not in self.heads:
            self._commit(name, {})

    def _commit(self, name: str, files: dict[str, bytes]) -> str:
        self.files[name] = files
        self.history.setdefault(name, []).append(dict(files))
        self.heads[name] = hashlib.sha1(f"{name} {len(self.requests)} {sorted(files)}".encode()).hexdigest()
        return self.heads[name]

    def commit(self, name: str, lines: list[dict]) -> tuple[int, dict]:
        files = dict(self.files[name])
        for line in lines:
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit", self.heads[name]) != self.heads[name]:
                return 412, {"error": "The repository has been changed by another commit since you started."}
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "deletedFolder":
                files = {path: body for path, body in files.items() if not path.startswith(value["path"])}
        oid = self._commit(name, files)
        return 200, {"success": True, "commitOid": oid, "commitUrl": f"{self.endpoint}/{name}/commit/{oid}"}

    def squash(self, name: str) -> None:
        self.history[name] = []
        self._commit(name, self.files[name])

    def info(self, name: str) -> dict:
        siblings = [{"rfilename": path} for path in sorted(self.files[name])]
        return {
            "id": name.partition("/")[2],
            "sha": self.heads[name],
            "private": self.private[name],
            "siblings": siblings,
            "tags": [],
        }


def _handler(hub: LocalHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, found: dict | list | bytes, **headers: str) -> None:
            body = found if isinstance(found, bytes) else json.dumps(found).encode()
            hub.on_request("after", f"{self.command} {self.path}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            hub.on_request("before", f"{self.command} {self.path}")
            with hub.lock:
                hub.requests.append(f"{self.command} {self.path}")
                status, found, headers = self.respond(unquote(urlsplit(self.path).path), body)
            self.answer(status, found, **headers)

        do_GET = do_HEAD = do_POST = do_DELETE = handle_one

        def respond(self, path: str, body: bytes) -> tuple[int, dict | list | bytes, dict]:
            allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            if hub.down:
                return 403, {"error": "The Hub is being repaired"}, {}
            if path == "/api/repos/create":
                given = json.loads(body)
                if given["organization"] != "owner" or not allowed:
                    return 403, {"error": "You may not write here"}, {}
                name = f"{given.get('type', 'model')}s/owner/{given['name']}"
                known = name in hub.files
                hub.create(name, given.get("visibility") == "private")
                for key in ("secrets", "variables"):
                    kept = getattr(hub, key).setdefault(name, {})
                    kept |= {each["key"]: each["value"] for each in given.get(key) or []}
                address = f"{hub.endpoint}/{name.removeprefix('models/')}"
                return (409, {"error": "exists", "url": address}, {}) if known else (200, {"url": address}, {})
            if path == "/api/validate-yaml":
                return 200, {"errors": [], "warnings": []}, {}
            if found := re.fullmatch(r"/api/((?:models|datasets|spaces)/[^/]+/[^/]+)(?:/(.*))?", path):
                name, rest = found[1], found[2] or ""
                if name not in hub.files or (not allowed and (hub.private[name] or self.command == "POST")):
                    return 404, {"error": "Repository not found"}, {"X_Error_Code": "RepoNotFound"}
                return self.repository(name, rest, body)
            if found := re.fullmatch(r"/((?:datasets/|spaces/)?[^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                name = found[1] if found[1].startswith(("datasets/", "spaces/")) else f"models/{found[1]}"
                if name in hub.files and (allowed or not hub.private[name]) and found[2] in hub.files[name]:
                    content = hub.files[name][found[2]]
                    tag = hashlib.sha1(content).hexdigest()
                    return 200, content, {"ETag": f'"{tag}"', "X_Repo_Commit": hub.heads[name]}
                return 404, {"error": "Entry not found"}, {"X_Error_Code": "EntryNotFound"}
            return 404, {"error": "not here"}, {}

        def repository(self, name: str, rest: str, body: bytes) -> tuple[int, dict | list | bytes, dict]:
            if rest in ("", "revision/main") or rest == f"revision/{hub.heads[name]}":
                return 200, hub.info(name), {}
            if rest.startswith("tree/"):
                folder = "".join(f"{part}/" for part in rest.split("/")[2:])
                found = [path for path in sorted(hub.files[name]) if path.startswith(folder)]
                if folder and not found:
                    return 404, {"error": "no such folder"}, {"X_Error_Code": "EntryNotFound"}
                deep = "recursive=true" in self.path.lower()
                shown = (
                    found if deep else dict.fromkeys(folder + path[len(folder) :].partition("/")[0] for path in found)
                )
                return 200, [self.entry(name, path) for path in shown], {}
            if rest.startswith("preupload/"):
                named = [each["path"] for each in json.loads(body)["files"]]
                modes = [{"path": each, "uploadMode": "regular", "shouldIgnore": False} for each in named]
                return 200, {"files": modes}, {}
            if rest.startswith("commit/"):
                return *hub.commit(name, [json.loads(line) for line in body.splitlines()]), {}
            if rest.startswith("super-squash/"):
                hub.squash(name)
                return 200, {}, {}
            if rest in ("secrets", "variables"):
                given, kept = json.loads(body), getattr(hub, rest).setdefault(name, {})
                kept[given["key"]] = given["value"]
                return 200, {} if rest == "secrets" else {key: {"value": value} for key, value in kept.items()}, {}
            return 404, {"error": "not here"}, {}

        def entry(self, name: str, path: str) -> dict:
            if path not in hub.files[name]:
                return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest()}
            content = hub.files[name][path]
            return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}

        def handle(self):
            with suppress(ConnectionError):  # the client was killed
                super().handle()

        def log_message(self, *_):
            pass

    return Handler


@contextmanager
def local_hub() -> Iterator[LocalHub]:
    "Run a Hub until the end of the block."
    hub = LocalHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
