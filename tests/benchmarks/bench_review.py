"""The review page at five thousand pictures: until it is painted, until what is in sight is there, and in memory."""

from __future__ import annotations

import time
from pathlib import Path

from designkit.generators.draft import draw_draft
from designkit.runs.folder import open_run
from designkit.runs.metadata import picture_texts
from designkit.runs.picture import encode_png
from designkit.values import Size
from tests.gallery.browser import Page, open_browser
from tests.gallery.drafts import draft_records
from tests.gallery.serving import Served, served

NUM_PICTURES = 5000
NUM_DISTINCT = 48
SIDE_PX = 768
MAX_PAINT_SECONDS = 2.0

IN_SIGHT = """(() => {
  const box = document.querySelector('#grid').getBoundingClientRect();
  const seen = [...document.querySelectorAll('.cell')].filter((cell) => {
    const {top, bottom} = cell.getBoundingClientRect();
    return bottom > box.top && top < box.bottom;
  });
  const are = seen.length >= 6 && seen.every((cell) => cell.querySelector('img')?.naturalWidth);
  return are && [performance.now() / 1000, seen.length];
})()"""
ALL_SAVED = """document.querySelector('#saved').textContent === 'Saved'
  && document.querySelector('#progress').textContent.startsWith('40 of')"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime / 1000"


def test_five_thousand_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    _make_run(folder)
    with open_browser() as browser, served(folder) as server:
        page = browser.page(width=1440, height=900, own_cookies=True)
        page.call("Performance.enable")
        cold = _open(page, server.address)
        page.until("document.querySelector('#shown').textContent === '5,000 pictures'")
        warm = _open(page, server.origin)
        memory = [_memory(server, page)]
        began = time.monotonic()
        for _ in range(40):
            page.press("ArrowRight", "p")
        page.until(ALL_SAVED)
        verdict_seconds = (time.monotonic() - began) / 40
        began = time.monotonic()
        page.press("End")
        page.until(IN_SIGHT)
        jump_seconds = time.monotonic() - began
        for _ in range(40):
            page.run("document.querySelector('#grid').scrollTop -= 900")
            time.sleep(0.05)
        page.until(IN_SIGHT)
        memory.append(_memory(server, page))
    print(
        f"\nreview page, {NUM_PICTURES} pictures of {SIDE_PX} px, window of 1440 x 900, {cold[2]:.0f} pictures in sight"
    )
    print("                        first paint  pictures in sight")
    for name, (paint, seen, _) in (("no thumbnails yet", cold), ("thumbnails kept", warm)):
        print(f"  {name:<20}  {paint:>9.2f} s  {seen:>15.2f} s")
    print(f"  a verdict by key, until it is saved   {verdict_seconds * 1000:.0f} ms")
    print(f"  to the last picture, until it is seen {jump_seconds:.2f} s")
    for name, (server_mb, peak_mb, heap_mb, nodes) in zip(("opened", "after 40 screens"), memory, strict=True):
        print(
            f"  {name:<17} server {server_mb:.0f} MB (peak {peak_mb:.0f}), script {heap_mb:.0f} MB, {nodes:.0f} nodes"
        )
    assert cold[1] < MAX_PAINT_SECONDS
    assert warm[1] < MAX_PAINT_SECONDS


def _open(page: Page, address: str) -> tuple[float, float, float]:
    """Seconds from the beginning of navigation to first paint, to all pictures in sight, and how many those are."""
    began = time.monotonic()
    page.go(address)
    page.until("location.search === '' && document.querySelector('#grid') !== null", seconds=30)
    _, count = page.until(IN_SIGHT, seconds=60)
    # From the outside, so that the trade of the token counts too.
    return page.until(FIRST_PAINT), time.monotonic() - began, count


def _memory(server: Served, page: Page) -> tuple[float, float, float, float]:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    kilobytes = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
    metrics = {each["name"]: each["value"] for each in page.call("Performance.getMetrics")["metrics"]}
    server_mb, peak_mb = (int(kilobytes[name]) / 1000 for name in ("VmRSS", "VmHWM"))
    return server_mb, peak_mb, metrics["JSHeapUsedSize"] / 1e6, metrics["Nodes"]


def _make_run(folder: Path) -> None:
    records = draft_records(NUM_PICTURES, side=SIDE_PX)
    drawn: dict[int, bytes] = {}
    with open_run(folder) as run:
        plan = {"images": [each.id for each in records]}
        run.describe({"plan": plan, "model": {"name": "draft", "revision": "1", "licence": "CC0-1.0"}})
        for number, record in enumerate(records):
            kind = number % NUM_DISTINCT
            if kind not in drawn:
                picture = draw_draft(record.prompt, Size(width=record.width, height=record.height), record.seed)
                drawn[kind] = encode_png(picture, picture_texts(record))
            run.add(record, drawn[kind])
