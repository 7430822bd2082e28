"""The review page in a real browser: by keys alone, by mouse, in two windows, against hostile texts and other sites."""

from __future__ import annotations

import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from designkit.runs.reviews import ReviewLog
from tests.gallery.browser import Browser, Page, open_browser
from tests.gallery.drafts import draft_run
from tests.gallery.serving import Served, served

pytest.importorskip("starlette", reason="the extra [review] is not installed")
pytest.importorskip("uvicorn", reason="the extra [review] is not installed")

IMAGES_READY = "[...document.querySelectorAll('.cell img')].filter((image) => image.naturalWidth).length >= 6"
VOTE_READY = "document.querySelector('#vote-view').dataset.state === 'ready'"
SAVED = "document.querySelector('#saved').textContent === 'Saved'"
CURRENT = "[...document.querySelectorAll('.cell.current')].map((cell) => cell.id.slice(5))[0]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    with open_browser() as opened:
        yield opened


def ids(count: int) -> list[str]:
    return [f"{number:016x}" for number in range(count)]


def said(folder: Path) -> dict[str, tuple[str, int]]:
    """What counts on the disk, by the last digits of the picture's id."""
    standings = ReviewLog(folder).standings()
    return {
        id[-2:]: (each.flag, each.stars) for id, each in standings.items() if (each.flag, each.stars) != ("none", 0)
    }


def opened(browser: Browser, server: Served, *, enter: bool = True) -> Page:
    page = browser.page(own_cookies=True) if enter else browser.page()
    page.go(server.address)
    page.until(IMAGES_READY)
    return page


def test_a_review_by_keys_alone_survives_a_kill(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "soda"
    draft_run(folder, 30, side=64, failed=1)
    with served(folder, "--reviewer", "Ana") as server:
        page = opened(browser, server)
        page.press("p", "ArrowRight", "x", "ArrowRight", "4", "ArrowRight", "Shift+p", "p", "p", "5", "u")
        page.until(SAVED)
        assert said(folder) == {"00": ("pick", 0), "01": ("reject", 0), "02": ("none", 4), "03": ("pick", 0)}
        page.press("Ctrl+z", "Ctrl+z", "Shift+Ctrl+z")
        page.until(SAVED)
        assert said(folder)["03"] == ("pick", 0)
        # Down a row and up again, to the ends, large and back.
        page.press("Home", "ArrowDown", "ArrowUp")
        assert page.until(CURRENT).endswith("00")
        page.press("End")
        assert page.until(CURRENT).endswith("1d")
        page.press("p")
        time.sleep(0.1)
        assert "1d" not in said(folder)  # There is no picture to pick.
        page.press("Home", "Enter")
        page.until("document.querySelector('#loupe-view img').dataset.whole === 'yes'")
        assert page.run("document.querySelector('#loupe-view img').naturalWidth") == 64
        page.press("ArrowRight", "ArrowRight", "x", "Escape")
        page.until(SAVED)
        assert said(folder)["02"] == ("reject", 4)
        assert page.run("document.activeElement.id") == "grid"
        assert page.run("document.querySelector('#grid').getAttribute('aria-activedescendant')").endswith("02")
        before = said(folder)
        assert page.complaints() == []
        server.kill()
        page.press("ArrowRight", "p")
        page.until("document.querySelector('#banner').textContent.startsWith('Not saved')")
        assert page.run("document.querySelector('#cell-0000000000000003').dataset.flag") == "pick"
    assert said(folder) == before
    with served(folder) as server:
        page = opened(browser, server)
        flags = page.run("[...document.querySelectorAll('.cell')].slice(0, 4).map((cell) => cell.dataset.flag)")
        assert flags == ["pick", "reject", "reject", "pick"]
        page.go(server.origin)
        page.until(IMAGES_READY)
        assert page.complaints() == []


def test_filters_compare_and_export(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "soda"
    draft_run(folder, 30, side=64)
    with served(folder, "--reviewer", "Ana") as server:
        page = opened(browser, server)
        page.run(
            "[...document.querySelectorAll('.chip')].find((chip) => chip.textContent.startsWith('tea box')).click()"
        )
        page.until(
            "document.querySelectorAll('.cell').length === 6 || document.querySelectorAll('.cell').length === 12"
        )
        assert page.run("document.querySelector('#shown').textContent") == "12 of 30 pictures" or page.run(
            "document.querySelector('#shown').textContent"
        ).startswith(("6 of", "12 of"))
        page.press("/")
        page.type("sunburst paper")
        page.press("Enter")
        page.until("document.querySelectorAll('.cell').length === 2 || document.querySelectorAll('.cell').length === 1")
        page.click("#reset")
        page.until("document.querySelectorAll('.cell').length > 6")
        # Going through the unjudged ones needs no arrow keys: each goes as it is judged.
        page.run(
            "[...document.querySelectorAll('.chip')].find((chip) => chip.textContent.startsWith('Unjudged')).click()"
        )
        page.run("document.querySelector('#grid').focus()")
        page.press("Home", "p", "x", "3")
        page.until(SAVED)
        assert said(folder) == {"00": ("pick", 0), "01": ("reject", 0), "02": ("none", 3)}
        page.until("document.querySelector('#shown').textContent === '27 of 30 pictures'")
        page.press("u")
        page.until("document.querySelector('#shown').textContent === '28 of 30 pictures'")
        page.click("#reset")
        # Side by side: marked with the space key; keys act on the one in focus.
        page.press("Home", " ", "ArrowRight", "ArrowRight", " ", "c")
        page.until("document.querySelectorAll('#compare-view .pane').length === 2")
        page.press("ArrowRight", "p", "ArrowDown", "5")
        page.until(SAVED)
        assert said(folder) == {"00": ("pick", 0), "01": ("reject", 0), "02": ("pick", 0), "03": ("none", 5)}
        page.press("Escape", "e")
        page.until("document.querySelector('#export-dialog').open")
        page.click("#export-now")
        page.until("document.querySelector('#export-result').textContent.startsWith('2 copies')")
        assert len(list((folder / "picks").glob("*.png"))) == 2
        assert page.complaints() == []


def test_votes_are_blind_and_ranked(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "soda"
    draft_run(folder, 6, side=64)
    with served(folder, "--reviewer", "Ana") as server:
        page = opened(browser, server)
        page.press("v")
        for key in ["ArrowLeft"] * 5 + ["ArrowRight"] * 3 + ["ArrowUp", "ArrowDown", "ArrowLeft", "u"]:
            page.until(VOTE_READY)
            shown = page.run("document.querySelector('#vote-view').outerHTML")
            assert not [word for word in ("soda can", "seed", "teal", "sunburst", "flat") if word in shown]
            before = len(ReviewLog(folder).votes())
            page.press(key)
            page.until(SAVED)
            assert abs(len(ReviewLog(folder).votes()) - before) == 1
        votes = ReviewLog(folder).votes()
        assert [vote.result for vote in votes] == ["left"] * 5 + ["right"] * 3 + ["tie", "skip"]
        assert {vote.reviewer for vote in votes} == {"Ana"}
        page.until(VOTE_READY)
        page.press("r")
        page.until("!!document.querySelector('#ranking-view button.row')")
        text = page.text()
        assert "9 votes, 1 of them ties" in text
        assert "scene" in text
        assert page.complaints() == []


def test_two_windows_agree(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "soda"
    draft_run(folder, 12, side=64)
    with served(folder) as server:
        one = opened(browser, server, enter=False)
        two = browser.page()
        two.go(server.origin)
        two.until(IMAGES_READY)
        two.press("ArrowRight", "p")
        one.until("document.querySelector('#cell-0000000000000001').dataset.flag === 'pick'")
        one.until("document.querySelector('#progress').textContent.includes('1 picked')")
        one.close()
        two.close()


HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    '"><svg onload=window.hit=1>',
    "javascript:window.hit=1",
    "{{constructor.constructor('window.hit=1')()}}",
    "</title><script>window.hit=1</script>",
    "' onmouseover='window.hit=1",
    "<iframe srcdoc='<script>parent.hit=1</script>'>",
    "\u2028window.hit=1",
    "<style>*{display:none}</style>",
    "&lt;b&gt;",
    "${1+1}",
    "__proto__",
    "constructor",
]


def test_hostile_texts_stay_texts(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "x<b onclick=alert(1)>"
    text = " ".join(HOSTILE)
    choices = dict(itertools.pairwise(HOSTILE))
    draft_run(folder, 6, side=64, prompt=text, negative=text, choices=choices, warnings=(text,))
    with served(folder, "--reviewer", "<b>Eve</b>") as server:
        page = opened(browser, server)
        page.press("p", "Enter")
        page.until("!!document.querySelector('#loupe-view dl')")
        page.press("c")
        page.press("v")
        page.until(VOTE_READY)
        page.press("ArrowLeft")
        page.until(VOTE_READY)
        page.press("r")
        page.until("!!document.querySelector('#ranking-view button.row')")
        assert page.run("window.hit") is None
        assert page.run("document.querySelectorAll('iframe, style, svg, main script, b[onclick]').length") == 0
        assert page.complaints() == []


SITE = """<!doctype html><body><img id=i>
<form method=post action="ORIGIN/api/verdict" enctype="text/plain" target=f>
<input name='{"image":"0000000000000000","reviewer":"Eve","since":0,"stars":5,"x":"' value='"}'></form>
<iframe name=f></iframe><iframe id=g src="ORIGIN/"></iframe><script>
const body = '{"image":"0000000000000000","reviewer":"Eve","since":0,"stars":5}';
const image = new Promise((done) => { i.onload = () => done("loaded"); i.onerror = () => done("refused"); });
i.src = "ORIGIN/thumbnail?id=0000000000000000";
const attempt = (path, method, mode) => fetch("ORIGIN" + path, {
  method, mode, credentials: "include", body: method == "POST" ? body : undefined,
  headers: mode == "cors" && method == "POST" ? {"Content-Type": "application/json"} : {},
}).then((answer) => answer.text()).then((text) => text ? "read" : "refused", () => "refused");
const attempts = ["cors", "no-cors"].flatMap((mode) =>
  [attempt("/api/run", "GET", mode), attempt("/api/verdict", "POST", mode)]);
document.forms[0].submit();
window.outcome = Promise.all([image, ...attempts]);
</script>"""


def test_another_site_in_the_same_browser_can_read_and_change_nothing(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "soda"
    draft_run(folder, 8, side=64)
    with served(folder) as server:
        opened(browser, server, enter=False).close()

        class Site(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(SITE.replace("ORIGIN", server.origin).encode())

            def log_message(self, *args: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
            thread = threading.Thread(target=site.serve_forever)
            thread.start()
            try:
                # Another name for the same machine is another site; another port is the same site to a browser.
                for name in ("localhost", "127.0.0.1"):
                    page = browser.page()
                    page.go(f"http://{name}:{site.server_port}/")
                    page.until("!!window.outcome")
                    assert set(page.run("window.outcome")) == {"refused"}
                    page.until("document.querySelector('#g').contentDocument === null")
                    page.close()
            finally:
                site.shutdown()
                thread.join()
        assert said(folder) == {}
        page = browser.page()
        page.go(server.origin)
        page.until(IMAGES_READY)
        page.close()


def test_only_what_is_in_sight_is_in_the_document(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "soda"
    draft_run(folder, 120, side=32)
    with served(folder) as server:
        page = opened(browser, server)
        assert page.run("document.querySelectorAll('.cell').length") < 60
        page.press("End")
        page.until("!!document.querySelector('#cell-0000000000000077 img')?.naturalWidth")
        assert page.run("document.querySelectorAll('.cell').length") < 60
        assert not page.run("!!document.querySelector('#cell-0000000000000000')")
        assert len(list((folder / ".thumbnails").iterdir())) < 100
