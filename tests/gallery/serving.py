"""The review page as a user starts it: the command in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.cli.commands import start


class Served:
    """A running review: its address, and what a client of its own needs to talk to it."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        parts = urlsplit(address)
        assert parts.port is not None
        self.port = parts.port
        self.origin = f"http://127.0.0.1:{self.port}"
        self.cookie = ""

    def enter(self) -> str:
        """Trade the token for the cookie, as the browser does, and return it."""
        answer = self.request("GET", urlsplit(self.address)._replace(scheme="", netloc="").geturl(), cookie=None)
        self.cookie = answer.headers["set-cookie"].split(";")[0]
        return self.cookie

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
        cookie: str | None = "",
    ) -> Answer:
        """Ask as the page does, but for what `headers` say otherwise (None leaves one out)."""
        fields: dict[str, str | None] = {"Cookie": self.cookie if cookie == "" else cookie}
        if method == "POST":
            fields |= {"Origin": self.origin, "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
        fields |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            has_host = "Host" in fields
            connection.putrequest(method, path, skip_host=has_host, skip_accept_encoding=True)
            for name, value in fields.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in fields and "Transfer-Encoding" not in fields:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: object) -> Any:
        """Post JSON as the page does, and return the answer's."""
        answer = self.request("POST", path, body=json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def raw(self, data: bytes, *, seconds: float = 10) -> int:
        """Send bytes as they are; the status that comes back, 0 where the server hangs up without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            answer = b""
            with contextlib.suppress(ConnectionError):
                connection.sendall(data)
                while b"\r\n" not in answer:
                    part = connection.recv(4096)
                    if not part:
                        break
                    answer += part
        return int(answer.split()[1]) if answer else 0

    def kill(self) -> None:
        """End the server without warning."""
        self.process.kill()
        self.process.communicate()


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Generator[Served]:
    """Serve the review page of a run until the end of the block."""
    process = start("review", folder, "--json", *options, cwd=folder.parent)
    try:
        assert process.stdout is not None
        lines = ""
        while not lines.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, process.communicate()
            lines += line
        yield Served(process, json.loads(lines)["address"])
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        if process.stdout and not process.stdout.closed:
            process.communicate(timeout=20)
