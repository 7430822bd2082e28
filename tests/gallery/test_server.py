"""The review page's server does what its page asks, and refuses everything else without falling."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from designkit.gallery.thumbnails import PictureMissing, thumbnail, whole_picture
from designkit.runs.reviews import REVIEWS, ReviewLog
from tests.cli.commands import run
from tests.gallery.drafts import draft_run
from tests.gallery.hostile import ID, tries
from tests.gallery.serving import Served, served

pytest.importorskip("starlette", reason="the extra [review] is not installed")
pytest.importorskip("uvicorn", reason="the extra [review] is not installed")

ROOT = Path(__file__).parents[2]
ATTEMPTS = tries()
OTHER = "0000000000000001"


@pytest.fixture(scope="module")
def review(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A served run of eight pictures, whose token has been used."""
    folder = tmp_path_factory.mktemp("place") / "soda"
    draft_run(folder, 8, side=48)
    with served(folder) as server:
        server.enter()
        yield server, folder


def test_there_are_enough_hostile_requests() -> None:
    assert len(ATTEMPTS) >= 300


@pytest.mark.parametrize("name", ATTEMPTS)
def test_hostile_requests_are_refused_and_change_nothing(review: tuple[Served, Path], name: str) -> None:
    server, folder = review
    before = sorted(folder.rglob("*"))
    status = ATTEMPTS[name](server)
    assert status == 0 or 400 <= status < 500
    assert not (folder / REVIEWS).exists()
    assert sorted(folder.rglob("*")) == before
    assert server.request("GET", "/icon.svg").status == 200


def test_the_token_works_once_and_gives_a_strict_cookie(tmp_path: Path) -> None:
    draft_run(tmp_path / "soda", 1, side=32)
    with served(tmp_path / "soda") as server:
        path = "/" + server.address.rpartition("/")[2]
        assert server.request("GET", path, cookie=None, headers={"Host": "evil.example"}).status == 403
        answer = server.request("GET", path, cookie=None)
        assert answer.status == 200
        name, *attributes = answer.headers["set-cookie"].split("; ")
        assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]
        assert len(name.partition("=")[2]) >= 43
        assert server.address.partition("token=")[2] not in name
        assert server.request("GET", path, cookie=None).status == 401
        assert server.request("GET", path, cookie=name).status == 401
        assert server.request("GET", "/", cookie=name).status == 200


def test_only_this_machine_can_connect(review: tuple[Served, Path]) -> None:
    server, _ = review
    with Path("/proc/net/tcp").open() as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    assert f"0100007F:{server.port:04X}" in listening
    assert f"00000000:{server.port:04X}" not in listening


def test_every_answer_tells_the_browser_to_trust_nothing(review: tuple[Served, Path]) -> None:
    server, _ = review
    for path, status in (("/", 200), ("/review.js", 200), ("/api/run", 200), (f"/image?id={ID}", 200), ("/x", 404)):
        answer = server.request("GET", path)
        assert answer.status == status
        rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["img-src"] == "'self'"
        assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not {name for name in answer.headers if name.startswith("access-control")} | {"server"} & set(
            answer.headers
        )


def test_the_page_has_no_script_or_style_of_its_own_and_loads_nothing_from_elsewhere(
    review: tuple[Served, Path],
) -> None:
    server, _ = review
    page = server.request("GET", "/").body.decode()
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/review.js"></script>') == 1
    scripts = [
        server.request("GET", f"/{name}").body.decode()
        for name in page.split('"/')[1:]
        for name in [name.split('"')[0]]
    ]
    for text in [page, *scripts]:
        assert "innerHTML" not in text
        assert "eval(" not in text
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_thumbnails_are_small_and_kept_and_whole_pictures_are_the_files(review: tuple[Served, Path]) -> None:
    server, folder = review
    answer = server.request("GET", f"/thumbnail?id={ID}")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (48, 72))
    (kept,) = [path for path in (folder / ".thumbnails").iterdir() if path.read_bytes() == answer.body]
    kept.write_bytes(kept.read_bytes()[:40])
    assert server.request("GET", f"/thumbnail?id={ID}").body == answer.body
    whole = server.request("GET", f"/image?id={ID}", headers={"Range": ",".join(f"bytes={n}-" for n in range(300))})
    assert (whole.status, whole.headers["content-type"]) == (200, "image/png")
    assert whole.body == next((folder / "images").glob(f"*{ID}.png")).read_bytes()


def test_what_is_no_picture_inside_the_run_is_never_sent(tmp_path: Path) -> None:
    contents = draft_run(tmp_path / "soda", 8, side=32)
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 9), "red").save(secret)
    files = [contents.path / str(record.file) for record in contents.records]
    for file in files[:7]:
        file.unlink()
    files[0].symlink_to(secret)
    files[1].write_text("<script>alert(1)</script>")
    files[2].write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
    os.mkfifo(files[3])
    files[4].mkdir()
    files[6].write_bytes(secret.read_bytes()[:40])
    Image.new("RGB", (30, 20), "red").save(files[7], "JPEG")
    for record in contents.records[:7]:
        for make in (thumbnail, whole_picture):
            with pytest.raises(PictureMissing):
                make(contents.path, record)
    # A picture that somebody has worked on is sent, but encoded anew.
    edited = whole_picture(contents.path, contents.records[7])
    with Image.open(io.BytesIO(edited)) as picture:
        assert (picture.format, picture.size) == ("PNG", (30, 20))
    with pytest.raises(PictureMissing, match="came out black"):
        whole_picture(contents.path, replace(contents.records[0], file=None, failure="the picture came out black"))


def test_a_folder_of_pictures_that_leads_elsewhere_is_not_followed(tmp_path: Path) -> None:
    contents = draft_run(tmp_path / "soda", 1, side=32)
    (contents.path / "images").rename(tmp_path / "elsewhere")
    (contents.path / "images").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PictureMissing, match="link"):
        whole_picture(contents.path, contents.records[0])


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    contents = draft_run(tmp_path / "soda", 1, side=32)
    Image.new("1", (20_000, 20_000)).save(contents.path / str(contents.records[0].file))
    with pytest.raises(PictureMissing):
        thumbnail(contents.path, contents.records[0])


def test_thumbnails_come_where_they_cannot_be_kept(tmp_path: Path) -> None:
    contents = draft_run(tmp_path / "soda", 1, side=32)
    (contents.path / ".thumbnails").write_text("in the way")
    assert thumbnail(contents.path, contents.records[0])[:4] == b"RIFF"


def test_verdicts_votes_undo_and_changes_go_to_the_log(tmp_path: Path) -> None:
    draft_run(tmp_path / "soda", 4, side=32)
    with served(tmp_path / "soda", "--reviewer", "Ana") as server:
        server.enter()
        start = json.loads(server.request("GET", "/api/run").body)
        assert (start["name"], start["reviewer"], len(start["images"])) == ("soda", "Ana", 4)
        turn = {"reviewer": "Ana", "since": start["version"]}
        said = server.post("/api/verdict", {"image": ID, "flag": "pick", "stars": 4, **turn})
        assert said["standings"] == {ID: ["pick", 4, "Ana"]}
        pair = server.post("/api/pair", {"reviewer": "Ana", "pool": [ID, OTHER]})["pair"]
        assert sorted(pair) == [ID, OTHER]
        server.post("/api/vote", {"left": pair[0], "right": pair[1], "result": "left", **turn})
        ranking = json.loads(server.request("GET", "/api/ranking").body)
        assert [each["name"] for each in ranking["images"]] == pair
        assert server.post("/api/undo", turn)["undone"] == {"kind": "vote", "result": "left"}
        assert server.post("/api/undo", turn)["standings"] == {ID: ["none", 0, ""]}
        assert server.post("/api/undo", turn)["undone"] is None
        assert server.post("/api/redo", turn)["redone"] == {"kind": "verdict", "image": ID}
        # What another program says is told as well.
        version = server.post("/api/changes", {"since": 0})["version"]
        ReviewLog(tmp_path / "soda").judge(OTHER, reviewer="Ben", flag="reject")
        assert server.post("/api/changes", {"since": version})["standings"] == {OTHER: ["reject", 0, "Ben"]}
        server.kill()
    log = ReviewLog(tmp_path / "soda")
    assert {id: (each.flag, each.stars) for id, each in log.standings().items()} == {
        ID: ("pick", 4),
        OTHER: ("reject", 0),
    }


def test_a_skipped_pair_comes_to_others_only_and_a_failing_disk_is_told(tmp_path: Path) -> None:
    draft_run(tmp_path / "soda", 2, side=32)
    with served(tmp_path / "soda") as server:
        server.enter()
        server.post("/api/vote", {"left": ID, "right": OTHER, "result": "skip", "reviewer": "Ana", "since": 0})
        assert server.post("/api/pair", {"reviewer": "Ana", "pool": [ID, OTHER]})["pair"] is None
        assert server.post("/api/pair", {"reviewer": "Ben", "pool": [ID, OTHER]})["pair"] is not None
        (tmp_path / "soda" / REVIEWS).unlink()
        (tmp_path / "soda" / REVIEWS).mkdir()
        body = json.dumps({"image": ID, "stars": 3, "reviewer": "Ana", "since": 0}).encode()
        answer = server.request("POST", "/api/verdict", body=body)
        assert answer.status == 507
        assert "reviews.jsonl" in json.loads(answer.body)["error"]
        (tmp_path / "soda" / REVIEWS).rmdir()
        assert server.request("POST", "/api/verdict", body=body).status == 200


IMPATIENT = """
import json, sys
from dataclasses import replace
from pathlib import Path
from designkit.gallery import guard, server
server.HEADER_SECONDS = guard.BODY_SECONDS = 0.5
announce = lambda address: print(json.dumps({"address": address}), flush=True)
server.serve(server.Review(Path(sys.argv[1]), reviewer="Ana"), announce)
"""


def test_clients_that_never_finish_are_hung_up_on_and_hold_nobody_up(tmp_path: Path) -> None:
    draft_run(tmp_path / "soda", 1, side=32)
    command = [sys.executable, "-c", IMPATIENT, str(tmp_path / "soda")]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    server = Served(process, json.loads(process.stdout.readline())["address"])
    server.enter()
    waits: list[float] = []

    def dawdle(data: bytes) -> None:
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(data)
            while connection.recv(4096):
                pass
        waits.append(time.monotonic() - began)

    head = b"POST /api/verdict HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port
    cookie = b"Cookie: " + server.cookie.encode() + b"\r\nOrigin: " + server.origin.encode() + b"\r\n"
    slow_body = head + cookie + b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    after_an_answer = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\nGET" % server.port
    threads = [
        threading.Thread(target=dawdle, args=(data,)) for data in [b"", b"GET", head, slow_body, after_an_answer] * 4
    ]
    for thread in threads:
        thread.start()
    for _ in range(5):
        assert server.request("GET", "/api/run").status == 200
    for thread in threads:
        thread.join()
    server.kill()
    assert len(waits) == 20
    assert max(waits) < 5


def test_ctrl_c_ends_a_review_in_good_order(tmp_path: Path) -> None:
    draft_run(tmp_path / "soda", 2, side=32)
    with served(tmp_path / "soda") as server:
        server.enter()
        server.post("/api/verdict", {"image": ID, "flag": "pick", "reviewer": "Ana", "since": 0})
        process = server.process
    assert process.returncode == 0


def test_a_folder_without_a_run_and_wrong_options_are_refused(tmp_path: Path) -> None:
    for arguments, words in (
        ([tmp_path], "run.json"),
        ([tmp_path, "--stars", "3", "--reviewer", "Ana"], "--export"),
        ([tmp_path, "--reviewer", " "], "reviewer"),
    ):
        done = run("review", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_without_the_extra_the_message_says_how_to_get_it(tmp_path: Path) -> None:
    draft_run(tmp_path / "soda", 1, side=32)
    (tmp_path / "broken" / "uvicorn").mkdir(parents=True)
    (tmp_path / "broken" / "uvicorn" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'uvicorn'\", name='uvicorn')"
    )
    done = run("review", "soda", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "broken")})
    assert done.returncode == 2
    assert "designkit[review]" in done.stderr
