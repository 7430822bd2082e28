// The grid: of all pictures only those in sight, and a few rows around them, are in the document.
import { byId, changes, currentPlace, inWords, judge, make, mark, select, store, thumbnailOf, verdict } from "./review-store.js";

const GAP = 14;
const CAPTION = 50;
const ROWS_AROUND = 2;
const SETTLE_MS = 90;
const RETRY_MS = 800;

const grid = byId("grid");
const canvas = byId("canvas");
const cells = new Map(); // id -> element
let side = 200;
let layout = { columns: 1, cell: 200, row: 250 };
let open = () => {};
let isDue = false;
let scrolledAt = -Infinity;

export function startGrid(openPicture) {
  open = openPicture;
  new ResizeObserver(() => measure()).observe(grid);
  grid.addEventListener("scroll", schedule, { passive: true });
  changes.addEventListener("shown", () => {
    measure();
  });
  changes.addEventListener("verdicts", (event) => {
    for (const id of event.detail) if (cells.has(id)) dress(cells.get(id), id);
  });
  changes.addEventListener("current", () => {
    showCurrent();
    for (const [id, cell] of cells) dress(cell, id);
  });
  measure();
}

export function setSide(pixels) {
  side = pixels;
  measure();
  showCurrent();
}

export const columns = () => layout.columns;
export const rowsInSight = () => Math.max(1, Math.floor(grid.clientHeight / layout.row));

function measure() {
  const width = grid.clientWidth - GAP;
  if (width <= 0) return;
  const number = Math.max(1, Math.floor(width / (side + GAP)));
  const cell = Math.floor(width / number) - GAP;
  layout = { columns: number, cell, row: cell + CAPTION + GAP };
  canvas.style.height = `${Math.ceil(store.shown.length / number) * layout.row + GAP}px`;
  canvas.style.setProperty("--cell", `${cell}px`);
  render();
}

function schedule() {
  scrolledAt = performance.now();
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    render();
  });
}

function render() {
  const firstRow = Math.max(0, Math.floor(grid.scrollTop / layout.row) - ROWS_AROUND);
  const lastRow = Math.ceil((grid.scrollTop + grid.clientHeight) / layout.row) + ROWS_AROUND;
  const first = firstRow * layout.columns;
  const images = store.shown.slice(first, lastRow * layout.columns);
  const wanted = new Set(images.map((image) => image.id));
  for (const [id, cell] of cells) {
    if (wanted.has(id)) continue;
    // Out of sight: whatever is still being fetched for it is not wanted any more.
    cell.querySelector("img")?.removeAttribute("src");
    cell.remove();
    cells.delete(id);
  }
  images.forEach((image, number) => {
    let cell = cells.get(image.id);
    if (!cell) {
      cell = makeCell(image);
      cells.set(image.id, cell);
      canvas.append(cell);
    }
    const place = first + number;
    const left = GAP + (place % layout.columns) * (layout.cell + GAP);
    const top = GAP + Math.floor(place / layout.columns) * layout.row;
    cell.style.transform = `translate(${left}px, ${top}px)`;
    cell.setAttribute("aria-posinset", place + 1);
    cell.setAttribute("aria-setsize", store.shown.length);
    dress(cell, image.id);
  });
  canvas.classList.toggle("none", !store.shown.length);
}

function makeCell(image) {
  const cell = make("div", "cell", undefined, { role: "option", id: `cell-${image.id}` });
  const frame = make("div", "frame");
  if (image.failure) frame.append(make("span", "failed", image.failure));
  else {
    const picture = make("img", "", undefined, { alt: "", decoding: "async", draggable: "false" });
    let isSecond = false;
    const ask = () => picture.isConnected && (picture.src = thumbnailOf(image.id));
    picture.addEventListener("error", () => {
      if (!picture.getAttribute("src")) return;
      if (isSecond) frame.replaceChildren(make("span", "failed", "the picture cannot be shown"));
      else setTimeout(ask, RETRY_MS);
      isSecond = true;
    });
    // What only flies past is not asked for.
    if (performance.now() - scrolledAt < SETTLE_MS) setTimeout(ask, SETTLE_MS);
    else picture.src = thumbnailOf(image.id);
    frame.append(picture);
  }
  const caption = make("div", "caption");
  caption.append(make("span", "title", image.title), judging(image.id));
  cell.append(frame, caption, make("span", "flag", "", { "aria-hidden": "true" }), make("span", "tick", "", { "aria-hidden": "true" }));
  cell.addEventListener("click", (event) => {
    select(image.id);
    if (event.ctrlKey || event.metaKey || event.shiftKey) mark(image.id);
  });
  cell.addEventListener("dblclick", () => open(image.id));
  return cell;
}

// Stars and flags for the mouse; the keyboard has its own, so they are not announced twice.
export function judging(id) {
  const bar = make("span", "judging", undefined, { "aria-hidden": "true" });
  const stars = make("span", "stars");
  for (let number = 1; number <= 5; number += 1) {
    const star = make("button", "star", "★", { type: "button", tabindex: "-1", "data-stars": number });
    stars.append(star);
  }
  const pick = make("button", "mini pick", "✓", { type: "button", tabindex: "-1", title: "Pick (P)", "data-flag": "pick" });
  const reject = make("button", "mini reject", "✕", { type: "button", tabindex: "-1", title: "Reject (X)", "data-flag": "reject" });
  bar.append(stars, pick, reject);
  bar.addEventListener("click", (event) => {
    const { stars: number, flag } = event.target.dataset;
    const now = verdict(id);
    if (number) judge(id, { stars: now.stars === Number(number) ? 0 : Number(number) });
    if (flag) judge(id, { flag: now.flag === flag ? "none" : flag });
  });
  return bar;
}

export function dress(cell, id) {
  const { flag, stars } = verdict(id);
  const image = store.byId.get(id);
  cell.dataset.flag = flag;
  cell.classList.toggle("current", id === store.current);
  cell.classList.toggle("marked", store.marked.has(id));
  cell.setAttribute("aria-selected", id === store.current || store.marked.has(id));
  cell.setAttribute("aria-label", `${image.title}, ${inWords(id)}${store.marked.has(id) ? ", marked" : ""}`);
  cell.querySelectorAll(".star").forEach((star, number) => star.classList.toggle("on", number < stars));
  const badge = cell.querySelector(":scope > .flag");
  if (badge) badge.textContent = { pick: "✓", reject: "✕", none: "" }[flag];
  const tick = cell.querySelector(":scope > .tick");
  if (tick) tick.textContent = store.marked.has(id) ? "●" : "";
}

export function showCurrent() {
  const place = currentPlace();
  if (place < 0) {
    grid.removeAttribute("aria-activedescendant");
    return;
  }
  const top = GAP + Math.floor(place / layout.columns) * layout.row;
  const bottom = top + layout.row;
  if (top - GAP < grid.scrollTop) grid.scrollTop = top - GAP;
  else if (bottom > grid.scrollTop + grid.clientHeight) grid.scrollTop = bottom - grid.clientHeight;
  render();
  grid.setAttribute("aria-activedescendant", `cell-${store.current}`);
}
