"""Who may ask the review page's server for what: everything that is not expressly allowed is refused.

A server on the own machine is within reach of every website that its user has open, and of every other user. So each
request must name this server's address exactly (which a rebound DNS name cannot), must not come from another site (by
Origin and Sec-Fetch-Site), and must bear a secret that the page got in exchange for the token in the link that the
terminal printed, which works once. Paths and methods are a fixed table; the only parameter is the id of a picture. What
gets through is at most 64 kB of JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

MAX_BODY_BYTES = 64 * 1024
MAX_URL_BYTES = 2048
MAX_HEADER_BYTES = 16 * 1024
BODY_SECONDS = 10.0

BODY = "designkit.body"
"""Where, in a request's scope, its body is found."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cache-control": "no-store",
}
_QUERY_ID = re.compile(rb"id=[0-9A-Za-z_-]{1,64}")
_QUERY_TOKEN = re.compile(rb"token=([0-9A-Za-z_-]{20,80})")
_ENTRANCE = b"""<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>designkit</title><link rel="icon" href="/icon.svg">
<a href="/">Open the review</a>"""


@dataclass(frozen=True, kw_only=True)
class Door:
    """One thing that may be asked for: its method, and whether it takes the id of a picture."""

    method: str
    takes_id: bool = False


class Refused(Exception):
    """A request that is not answered: the status and the reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """The application behind `doors`, which only the holder of the token can open."""

    def __init__(self, application: Application, doors: Mapping[str, Door], *, port: int) -> None:
        self.token = secrets.token_urlsafe(32)
        self._application = application
        self._doors = {path.encode(): door for path, door in doors.items()}
        self._hosts = {f"127.0.0.1:{port}".encode(), f"localhost:{port}".encode()}
        # Cookies do not know of ports: each server's has a name of its own.
        self._cookie = f"designkit-review-{port}"
        self._secret = secrets.token_urlsafe(32)
        self._is_token_used = False

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request as ASGI asks for it."""
        if scope["type"] != "http":
            raise RuntimeError(f"the review page does not speak {scope['type']}")
        send = _with_headers(send)
        try:
            headers = _Headers(scope["headers"])
            self._check_address(scope, headers)
            if self._takes_token(scope):
                await self._enter(send)
                return
            self._check_sender(scope, headers)
            if scope["method"] == "POST":
                scope[BODY] = await _read_body(headers, receive)
        except Refused as refusal:
            # Whatever is left of the request must not be taken for the next one.
            body = json.dumps({"error": str(refusal)}).encode()
            await _answer(send, refusal.status, body, "application/json", {"connection": "close"})
            return
        await self._application(scope, receive, send)

    def _check_address(self, scope: Mapping[str, Any], headers: _Headers) -> None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            raise Refused(414, "the address is too long")
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > MAX_HEADER_BYTES:
            raise Refused(431, "the headers are too long")
        if scope["http_version"] != "1.1":
            raise Refused(400, "nothing but HTTP/1.1 is spoken here")
        if headers.only(b"host") not in self._hosts:
            raise Refused(403, "this server is not called that")
        door = self._doors.get(scope["raw_path"])
        if door is None:
            raise Refused(404, "there is nothing here")
        if scope["method"] != door.method:
            raise Refused(405, f"only {door.method} works here")
        if headers.all(b"upgrade"):
            raise Refused(400, "nothing but HTTP is spoken here")

    def _takes_token(self, scope: Mapping[str, Any]) -> bool:
        """Whether the request brings the token, void from then on; raises Refused where it is void or wrong."""
        if scope["raw_path"] != b"/" or not scope["query_string"]:
            return False
        match = _QUERY_TOKEN.fullmatch(scope["query_string"])
        if match is None or self._is_token_used or not compare_digest(match[1], self.token.encode()):
            raise Refused(401, "this link has been used or is of another review: start designkit review again")
        self._is_token_used = True
        return True

    async def _enter(self, send: Send) -> None:
        cookie = f"{self._cookie}={self._secret}; Path=/; HttpOnly; SameSite=Strict"
        # Not a redirect: that would still count as coming from where the link stood, and go without the cookie.
        await _answer(send, 200, _ENTRANCE, "text/html; charset=utf-8", {"set-cookie": cookie})

    def _check_sender(self, scope: Mapping[str, Any], headers: _Headers) -> None:
        """Whether the request comes from our own page; raises Refused where it does not."""
        if headers.only(b"sec-fetch-site") not in (None, b"same-origin", b"none"):
            raise Refused(403, "requests from other sites are not answered")
        origin = headers.only(b"origin")
        if origin is None and scope["method"] == "POST":
            raise Refused(403, "a request that changes something has to name its origin")
        if origin is not None and origin != b"http://" + (headers.only(b"host") or b""):
            raise Refused(403, "requests from other sites are not answered")
        if not any(compare_digest(value, self._secret.encode()) for value in headers.cookies(self._cookie.encode())):
            raise Refused(401, "open the link that designkit review has printed")
        door = self._doors[scope["raw_path"]]
        query = scope["query_string"]
        if not (_QUERY_ID.fullmatch(query) if door.takes_id else query == b""):
            raise Refused(400, "the address has parameters that are not known here")


class _Headers:
    """The headers of a request; one that has to be single and is not makes the request refused."""

    def __init__(self, headers: list[tuple[bytes, bytes]]) -> None:
        self._headers = headers

    def all(self, name: bytes) -> list[bytes]:
        return [value for key, value in self._headers if key == name]

    def only(self, name: bytes) -> bytes | None:
        values = self.all(name)
        if len(values) > 1:
            raise Refused(400, f"more than one {name.decode()} header")
        return values[0] if values else None

    def cookies(self, name: bytes) -> list[bytes]:
        pairs = (part.strip().partition(b"=") for line in self.all(b"cookie") for part in line.split(b";"))
        return [value for key, _, value in pairs if key == name]


async def _read_body(headers: _Headers, receive: Receive) -> bytes:
    kind = headers.only(b"content-type")
    if kind is None or kind.lower().replace(b" ", b"") not in (b"application/json", b"application/json;charset=utf-8"):
        raise Refused(415, "only JSON is read here")
    if headers.all(b"content-encoding"):
        raise Refused(415, "compressed bodies are not read here")
    length = headers.only(b"content-length")
    if length is not None and (not length.isdigit() or len(length) > 9 or int(length) > MAX_BODY_BYTES):
        raise Refused(413, f"more than {MAX_BODY_BYTES // 1024} kB are not read here")
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused(400, "the request broke off")
                body += message.get("body", b"")
                if len(body) > MAX_BODY_BYTES:
                    raise Refused(413, f"more than {MAX_BODY_BYTES // 1024} kB are not read here")
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise Refused(408, "the request took too long to arrive") from None


def _with_headers(send: Send) -> Send:
    """Send every answer with the headers that tell a browser how little it may do with it."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name for name, _ in message["headers"]}
            added = [(name.encode(), value.encode()) for name, value in _HEADERS.items() if name.encode() not in given]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return send_with_headers


async def _answer(
    send: Send, status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> None:
    fields = {"content-type": content_type, "content-length": str(len(body)), **(headers or {})}
    start = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
