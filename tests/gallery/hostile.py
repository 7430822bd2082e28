"""Requests that a website, another user of the machine or a broken program might send to the review page's server.

Each is named after what it tries. They follow the published holes of local image programs: paths that lead out of the
served folder, files named in parameters and bodies, rebound DNS names, requests from other origins, forms that any
website may send, WebSockets, other people's cookies, bodies and headers without end, and requests that two programs
would read differently.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.gallery.serving import Served

Try = Callable[[Served], int]

ID = "0000000000000000"
VERDICT = {"image": ID, "reviewer": "Eve", "since": 0, "stars": 5}
VOTE = {"left": ID, "right": "0000000000000001", "result": "left", "reviewer": "Eve", "since": 0}


def tries() -> dict[str, Try]:
    """All of them, by name; with the right cookie unless the name says otherwise."""
    found: dict[str, Try] = {}
    for group in (_paths, _ids, _hosts, _origins, _cookies, _methods, _kinds, _bodies, _raw):
        for name, attempt in group():
            assert name not in found, name
            found[name] = attempt
    return found


def _get(path: str, headers: dict[str, str | None] | None = None, cookie: str | None = "") -> Try:
    return lambda served: served.request("GET", path, headers=headers, cookie=cookie).status


def _post(path: str, body: object, headers: dict[str, str | None] | None = None, cookie: str | None = "") -> Try:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda served: served.request("POST", path, body=data, headers=headers, cookie=cookie).status


def _paths() -> Iterator[tuple[str, Try]]:
    for path in (
        "/../../../../etc/passwd", "/..%2f..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd", "/%252e%252e%252fetc",
        "/..%5c..%5cetc", "/..\\..\\etc", "/....//....//etc/passwd", "//etc/passwd", "/etc/passwd",
        "/file=/etc/passwd",
        "/file=run.json", "/gradio_api/file=/etc/passwd", "/view?filename=../../run.json", "/userdata/..%2frun.json",
        "/api/userdata/x", "/proxy=http://example.com/", "/%2fetc%2fpasswd", "/./review.js", "/review.js/",
        "/review.js/..",
        "/review.js%00.png", "/REVIEW.JS", "/static/review.js", "/review.js;x=1", "/review%2ejs", "/images/",
        "/images",
        f"/images/{ID}.png", "/picks/verdicts.csv", "/manifest.jsonl", "/run.json", "/reviews.jsonl", "/index.html",
        "/.lock", "/.thumbnails/", "/.git/config", "/~root/", "/api", "/api/", "/api/run/", "/api/run%00",
        "/api/../api/run",
        "/api//run", "/favicon.ico/..", "/docs", "/openapi.json", "/<script>alert(1)</script>", "/con", "/aux.png",
    ):  # fmt: skip
        yield f"path {path}", _get(path)
    yield "an address of 3 kB", _get("/" + "a" * 3000)
    yield "an address of 3 kB behind a known path", _get(f"/thumbnail?id={'a' * 3000}")


def _ids() -> Iterator[tuple[str, Try]]:
    for query in (
        "", "?", "?id=", "?id=../../run.json", "?id=%2e%2e%2frun.json", "?id=/etc/passwd", "?id=..", "?id=nothere",
        "?id=ffffffffffffffff", f"?id={ID}&id={ID}", f"?id={ID}&path=/etc/passwd", f"?ID={ID}", f"?id={ID}%00",
        f"?id={ID}.png", f"?id={ID};ls", f"?id={ID}%20", "?path=/etc/passwd", "?file=run.json",
        "?url=http://example.com/x",
        "?id=__proto__", "?id=%F0%9F%92%A9", f"?{ID}", "?id[]=x", f"?id={'a' * 65}",
    ):  # fmt: skip
        yield f"thumbnail{query}", _get(f"/thumbnail{query}")
    for query in ("", "?id=../../run.json", f"?id={ID}&download=/etc", "?id=nothere", "?url=http://example.com/"):
        yield f"image{query}", _get(f"/image{query}")
    yield "a parameter where none belongs", _get("/api/run?callback=steal")
    yield "a parameter for the page", _get("/?next=http://example.com/")


def _hosts() -> Iterator[tuple[str, Try]]:
    def with_host(make: Callable[[int], str]) -> Try:
        return lambda served: served.request("GET", "/api/run", headers={"Host": make(served.port)}).status

    hosts: dict[str, Callable[[int], str]] = {
        "a rebound name": lambda port: f"evil.example:{port}",
        "a rebound name without port": lambda port: "evil.example",
        "no port": lambda port: "127.0.0.1",
        "another port": lambda port: f"127.0.0.1:{port + 1}",
        "a name that begins as ours": lambda port: f"localhost.evil.example:{port}",
        "a name that ends as ours": lambda port: f"evil.localhost:{port}",
        "our address before another": lambda port: f"127.0.0.1:{port}.evil.example",
        "our address as a user name": lambda port: f"127.0.0.1:{port}@evil.example",
        "all addresses": lambda port: f"0.0.0.0:{port}",
        "the short address": lambda port: f"127.1:{port}",
        "the address as a number": lambda port: f"2130706433:{port}",
        "the address in hexadecimals": lambda port: f"0x7f000001:{port}",
        "another loopback address": lambda port: f"127.0.0.2:{port}",
        "IPv6": lambda port: f"[::1]:{port}",
        "a final dot": lambda port: f"localhost.:{port}",
        "an empty name": lambda port: "",
        "a port with zeros": lambda port: f"127.0.0.1:0{port}",
        "two names in one": lambda port: f"127.0.0.1:{port}, evil.example",
    }
    for name, make in hosts.items():
        yield f"host: {name}", with_host(make)
    yield (
        "host: forwarded as ours",
        lambda served: (
            served.request(
                "GET", "/api/run", headers={"Host": "evil.example", "X-Forwarded-Host": f"127.0.0.1:{served.port}"}
            ).status
        ),
    )
    yield (
        "host: a rebound name posting",
        lambda served: (
            served.request(
                "POST",
                "/api/verdict",
                body=json.dumps(VERDICT).encode(),
                headers={"Host": f"evil.example:{served.port}", "Origin": f"http://evil.example:{served.port}"},
            ).status
        ),
    )


def _origins() -> Iterator[tuple[str, Try]]:
    def from_origin(make: Callable[[int], str | None], path: str, body: object) -> Try:
        return lambda served: (
            served.request("POST", path, body=json.dumps(body).encode(), headers={"Origin": make(served.port)}).status
        )

    origins: dict[str, Callable[[int], str | None]] = {
        "none": lambda port: None,
        "null": lambda port: "null",
        "empty": lambda port: "",
        "another site": lambda port: "http://evil.example",
        "another port": lambda port: f"http://127.0.0.1:{port + 1}",
        "another scheme": lambda port: f"https://127.0.0.1:{port}",
        "no port": lambda port: "http://127.0.0.1",
        "a slash": lambda port: f"http://127.0.0.1:{port}/",
        "the other name": lambda port: f"http://localhost:{port}",
        "ours as a beginning": lambda port: f"http://127.0.0.1:{port}.evil.example",
        "a file": lambda port: "file://",
        "an extension": lambda port: "chrome-extension://abcdefghijklmnop",
    }
    for name, make in origins.items():
        yield f"origin: {name}", from_origin(make, "/api/verdict", VERDICT)
    yield "origin: another site exports", from_origin(lambda port: "http://evil.example", "/api/export", {})
    yield "origin: another site undoes", from_origin(lambda port: "null", "/api/undo", {"reviewer": "Eve", "since": 0})
    yield "origin: another site reads", _get("/api/run", {"Origin": "http://evil.example"})
    yield "origin: a sandboxed frame reads", _get("/api/run", {"Origin": "null"})
    for site in ("cross-site", "same-site", "none, cross-site", "SAME-ORIGIN", "x"):
        yield f"fetch site {site} reads", _get("/api/run", {"Sec-Fetch-Site": site})
        yield f"fetch site {site} shows a picture", _get(f"/thumbnail?id={ID}", {"Sec-Fetch-Site": site})
        yield f"fetch site {site} posts", _post("/api/verdict", VERDICT, {"Sec-Fetch-Site": site})


def _cookies() -> Iterator[tuple[str, Try]]:
    for path in ("/", "/review.js", "/api/run", "/api/ranking", f"/thumbnail?id={ID}", f"/image?id={ID}", "/icon.svg"):
        yield f"no cookie {path}", _get(path, cookie=None)
    for path in ("/api/changes", "/api/verdict", "/api/vote", "/api/export", "/api/pair", "/api/undo", "/api/redo"):
        yield f"no cookie {path}", _post(path, {}, cookie=None)
    cookies: dict[str, Callable[[Served], str]] = {
        "empty": lambda served: f"{served.cookie.split('=')[0]}=",
        "a wrong value": lambda served: f"{served.cookie.split('=')[0]}={'A' * 43}",
        "a beginning": lambda served: served.cookie[:-1],
        "more at the end": lambda served: served.cookie + "A",
        "the value alone": lambda served: served.cookie.split("=")[1],
        "another name": lambda served: f"session={served.cookie.split('=')[1]}",
        "another server's": lambda served: f"designkit-review-1={served.cookie.split('=')[1]}",
        "the token": lambda served: f"{served.cookie.split('=')[0]}={served.address.split('token=')[1]}",
        "quotes": lambda served: '{}="{}"'.format(*served.cookie.split("=")),
        "many": lambda served: "; ".join(f"{served.cookie.split('=')[0]}={number}" for number in range(200)),
    }
    for name, make in cookies.items():
        yield (
            f"cookie: {name}",
            lambda served, make=make: served.request("GET", "/api/run", cookie=make(served)).status,
        )
    yield "the secret as a bearer", _get("/api/run", {"Authorization": "Bearer x"}, cookie=None)
    yield (
        "the token once more",
        lambda served: served.request("GET", "/" + served.address.split("/")[-1], cookie=None).status,
    )
    yield (
        "the token for the list",
        lambda served: served.request("GET", "/api/run?" + served.address.split("?")[1], cookie=None).status,
    )
    yield "a guessed token", _get(f"/?token={'A' * 43}", cookie=None)
    yield "an empty token", _get("/?token=", cookie=None)
    yield "two tokens", _get(f"/?token={'A' * 43}&token={'B' * 43}", cookie=None)


def _methods() -> Iterator[tuple[str, Try]]:
    for method in ("HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X"):
        for path in ("/", "/api/run", "/api/verdict"):
            yield f"{method} {path}", lambda served, m=method, p=path: served.request(m, p).status
    yield (
        "a preflight",
        lambda served: (
            served.request(
                "OPTIONS",
                "/api/verdict",
                headers={"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
            ).status
        ),
    )
    yield "POST /", _post("/", {})
    yield "POST /api/run", _post("/api/run", {})
    yield "POST a picture", _post(f"/thumbnail?id={ID}", {})
    for path in ("/api/changes", "/api/verdict", "/api/vote", "/api/undo", "/api/redo", "/api/export", "/api/pair"):
        yield f"GET {path}", _get(path)
    yield "an overridden method", _get("/api/verdict", {"X-HTTP-Method-Override": "POST"})


def _kinds() -> Iterator[tuple[str, Try]]:
    for kind in (
        "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
        "application/json; charset=utf-16", "application/json, text/plain", "text/json", "", "*/*", None,
    ):  # fmt: skip
        yield f"content type {kind}", _post("/api/verdict", VERDICT, {"Content-Type": kind})
    yield (
        "a form of any website",
        _post("/api/verdict", b"stars=5", {"Content-Type": "application/x-www-form-urlencoded"}),
    )
    yield "a compressed body", _post("/api/verdict", VERDICT, {"Content-Encoding": "gzip"})


def _bodies() -> Iterator[tuple[str, Try]]:
    def verdict(**changes: object) -> dict[str, object]:
        return {**VERDICT, **changes}

    bodies: dict[str, object] = {
        "empty": b"", "cut short": b'{"image": "', "no JSON": b"stars=5", "a list": b"[]",
        "a text": b'"x"', "null": b"null",
        "not UTF-8": b'{"image": "\xff\xfe"}', "UTF-16": json.dumps(VERDICT).encode("utf-16"),
        "NaN": b'{"stars": NaN}',
        "deep lists": b"[" * 30_000, "deep objects": b'{"a":' * 10_000,
        "a huge number": b'{"stars": 1' + b"0" * 5000 + b"}",
        "more than 64 kB": b'{"reviewer": "' + b"a" * 66_000 + b'"}', "two documents": b"{}{}", "a NUL": b"\0",
        "a comment": b"/* */{}", "JavaScript": b"alert(1)", "nothing said": {"image": ID, "reviewer": "Eve",
        "since": 0},
        "an unknown field": verdict(path="/etc/passwd"), "a prototype": verdict(__proto__={"a": 1}),
        "a class": verdict(__class__="x"), "an unknown picture": verdict(image="ffffffffffffffff"),
        "a path as a picture": verdict(image="../../run.json"), "a list as a picture": verdict(image=[ID]),
        "an object as a picture": verdict(image={"$ne": ""}), "no picture": {"reviewer": "Eve",
        "since": 0, "stars": 5},
        "stars as text": verdict(stars="5"), "stars as a fraction": verdict(stars=4.5),
        "stars as truth": verdict(stars=True),
        "six stars": verdict(stars=6), "minus one star": verdict(stars=-1), "endless stars": b'{"stars": 1e999}',
        "an unknown flag": verdict(flag="love"), "a list as a flag": verdict(flag=["pick"]),
        "no reviewer": verdict(reviewer=""),
        "a long reviewer": verdict(reviewer="a" * 61), "a number as a reviewer": verdict(reviewer=7),
        "a line end in the reviewer": verdict(reviewer="Eve\n{}"), "a NUL in the reviewer": verdict(reviewer="Eve\0"),
        "half a surrogate in the reviewer": json.dumps(verdict(reviewer="\ud800")).encode(),
        "a line separator in the reviewer": verdict(reviewer="Eve\u2028"), "a negative version": verdict(since=-1),
        "a huge version": verdict(since=2**70), "a version as text": verdict(since="0"),
    }  # fmt: skip
    for name, body in bodies.items():
        yield f"verdict: {name}", _post("/api/verdict", body)
    votes: dict[str, object] = {
        "a picture against itself": {**VOTE, "right": ID}, "an unknown picture": {**VOTE, "right": "ffff"},
        "an unknown result": {**VOTE, "result": "win"}, "a path": {**VOTE, "left": "/etc/passwd"},
        "half": {"left": ID},
    }  # fmt: skip
    for name, body in votes.items():
        yield f"vote: {name}", _post("/api/vote", body)
    pools: dict[str, Any] = {
        "no list": "all",
        "too long": [ID] * 501, "unknown": ["ffffffffffffffff"], "a path": ["../x"], "numbers": [1, 2],
    }  # fmt: skip
    for name, pool in pools.items():
        yield f"pair: {name}", _post("/api/pair", {"reviewer": "Eve", "pool": pool})
    exports: dict[str, object] = {
        "a folder": {"folder": "/etc"}, "a path": {"path": "../../x"}, "no stars": {"min_stars": 0}, "a list": [],
        "six stars": {"min_stars": 6}, "a truth": {"min_stars": True},
    }  # fmt: skip
    for name, body in exports.items():
        yield f"export: {name}", _post("/api/export", body)
    yield "undo: an act of one's choice", _post("/api/undo", {"reviewer": "Eve", "since": 0, "act": "abc"})


def _raw() -> Iterator[tuple[str, Try]]:
    """What no HTTP library sends."""

    def raw(head: str | bytes, body: bytes = b"") -> Try:
        data = head if isinstance(head, bytes) else head.encode()

        def attempt(served: Served) -> int:
            filled = data
            for mark, value in (("PORT", str(served.port)), ("COOKIE", served.cookie), ("ORIGIN", served.origin)):
                filled = filled.replace(b"$" + mark.encode(), value.encode())
            return served.raw(filled.replace(b"\n", b"\r\n") + body)

        return attempt

    host = "Host: 127.0.0.1:$PORT\nCookie: $COOKIE\n"
    post = f"POST /api/verdict HTTP/1.1\n{host}Origin: $ORIGIN\nContent-Type: application/json\n"
    content = json.dumps(VERDICT).encode()
    size = len(content)
    yield "no host", raw("GET /api/run HTTP/1.1\nCookie: $COOKIE\n\n")
    yield "HTTP/1.0 without host", raw("GET /api/run HTTP/1.0\nCookie: $COOKIE\n\n")
    yield "two hosts", raw(f"GET /api/run HTTP/1.1\n{host}Host: evil.example\n\n")
    yield "the same host twice", raw(f"GET /api/run HTTP/1.1\n{host}Host: 127.0.0.1:$PORT\n\n")
    yield "two origins", raw(f"{post}Origin: http://evil.example\nContent-Length: {size}\n\n", content)
    yield "two content types", raw(f"{post}Content-Type: text/plain\nContent-Length: {size}\n\n", content)
    yield "an absolute address", raw(f"GET http://evil.example/api/run HTTP/1.1\n{host}\n")
    yield "an absolute address of ours", raw(f"GET http://127.0.0.1:$PORT/api/run HTTP/1.1\n{host}\n")
    yield "a tunnel", raw(f"CONNECT evil.example:443 HTTP/1.1\n{host}\n")
    yield "a star", raw(f"OPTIONS * HTTP/1.1\n{host}\n")
    yield (
        "a WebSocket",
        raw(
            f"GET /api/run HTTP/1.1\n{host}Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
        ),
    )
    yield (
        "a WebSocket to a path of its own",
        raw(
            f"GET /ws HTTP/1.1\n{host}Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n\n"
        ),
    )
    yield "HTTP/2 in clear text", raw(f"GET /api/run HTTP/1.1\n{host}Connection: Upgrade\nUpgrade: h2c\n\n")
    yield "the preface of HTTP/2", raw(b"PRI * HTTP/2.0\n\nSM\n\n")
    yield "HTTP/0.9", raw(b"GET /api/run\n\n")
    yield "HTTP/9.9", raw(f"GET /api/run HTTP/9.9\n{host}\n")
    yield "no HTTP at all", raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60) + b"\n\n")
    yield "a space in the path", raw(f"GET /api/run /x HTTP/1.1\n{host}\n")
    yield "bytes beyond ASCII in the path", raw(f"GET /api/r\u00fcn HTTP/1.1\n{host}\n")
    yield "a NUL in a header", raw(f"GET /api/run HTTP/1.1\n{host}X: a\0b\n\n")
    yield "a header without a name", raw(f"GET /api/run HTTP/1.1\n{host}: x\n\n")
    yield "a header with a space before its colon", raw(f"GET /api/run HTTP/1.1\nHost : 127.0.0.1:$PORT\n{host}\n")
    yield "headers of 100 kB", raw(f"GET /api/run HTTP/1.1\n{host}X: {'a' * 100_000}\n\n")
    yield (
        "ten thousand headers",
        raw(f"GET /api/run HTTP/1.1\n{host}" + "".join(f"X{n}: y\n" for n in range(10_000)) + "\n"),
    )
    yield "an address of 100 kB", raw(f"GET /{'a' * 100_000} HTTP/1.1\n{host}\n")
    yield "a length of a terabyte", raw(f"{post}Content-Length: 1099511627776\n\n", content)
    yield "a length below nothing", raw(f"{post}Content-Length: -1\n\n", content)
    yield "a length in words", raw(f"{post}Content-Length: ten\n\n", content)
    yield "two lengths", raw(f"{post}Content-Length: {size}\nContent-Length: 3\n\n", content)
    yield "a length and chunks", raw(f"{post}Content-Length: 3\nTransfer-Encoding: chunked\n\n", b"0\r\n\r\nGET /x")
    yield "chunks of an unknown coding", raw(f"{post}Transfer-Encoding: gzip, chunked\n\n", b"0\r\n\r\n")
    yield "chunks with a wrong size", raw(f"{post}Transfer-Encoding: chunked\n\n", b"zz\r\nabc\r\n0\r\n\r\n")
    yield (
        "chunks of 200 kB",
        raw(
            f"{post}Transfer-Encoding: chunked\n\n",
            b"10000\r\n" + b" " * 65536 + b"\r\n" + b"10000\r\n" + b" " * 65536 + b"\r\n0\r\n\r\n",
        ),
    )
    yield (
        "a second request inside the first",
        raw(f"{post}Content-Length: 0\n\nGET /api/run HTTP/1.1\nHost: evil.example\n\n"),
    )
