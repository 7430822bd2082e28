// One picture large, and several side by side.
import { byId, changes, currentPlace, inWords, make, pictureOf, select, store, thumbnailOf, verdict } from "./review-store.js";
import { judging } from "./review-grid.js";

const MAX_PANES = 4;
const loupe = byId("loupe-view");
const compare = byId("compare-view");
let panes = []; // ids being compared
let focused = 0;
let isActual = false;

// The small picture at once, the whole one as soon as it is there.
export function fill(picture, id) {
  picture.dataset.id = id;
  picture.dataset.whole = "no";
  picture.src = thumbnailOf(id);
  const whole = new Image();
  whole.src = pictureOf(id);
  return whole.decode().then(
    () => {
      if (picture.dataset.id !== id) return;
      picture.src = whole.src;
      picture.dataset.whole = "yes";
    },
    () => {
      if (picture.dataset.id === id) picture.dataset.whole = "failed";
    },
  );
}

export function showLoupe() {
  const image = store.byId.get(store.current);
  if (!image) return;
  const stage = make("div", isActual ? "stage actual" : "stage");
  const picture = make("img", "", undefined, { alt: image.prompt, width: image.width, height: image.height });
  picture.style.aspectRatio = `${image.width} / ${image.height}`;
  picture.style.setProperty("--width", `${image.width}px`);
  picture.style.setProperty("--ratio", image.width / image.height);
  if (image.failure) stage.append(make("p", "failed", image.failure));
  else {
    stage.append(picture);
    fill(picture, image.id);
  }
  picture.addEventListener("click", toggleActual);
  const side = make("aside", "facts", undefined, { "aria-label": "About this picture" });
  side.append(
    make("p", "soft", `${currentPlace() + 1} of ${store.shown.length.toLocaleString("en")}`),
    make("h2", "", image.title),
    verdictRow(image.id),
    make("p", "prompt", image.prompt),
  );
  if (image.negative) side.append(make("p", "soft prompt", `Without: ${image.negative}`));
  const facts = make("dl");
  for (const [axis, value] of Object.entries(image.facets)) facts.append(make("dt", "", axis), make("dd", "", value));
  facts.append(make("dt", "", "picture"), make("dd", "", image.detail));
  side.append(facts, make("p", "soft hint", "← → next · P pick · X reject · 0–5 stars · Z 100 % · Esc back"));
  loupe.replaceChildren(stage, side);
  // The neighbours next, so that going on does not wait.
  for (const step of [1, -1]) {
    const neighbour = store.shown[currentPlace() + step];
    if (neighbour && !neighbour.failure) new Image().src = pictureOf(neighbour.id);
  }
}

export function toggleActual() {
  isActual = !isActual;
  loupe.querySelector(".stage")?.classList.toggle("actual", isActual);
}

function verdictRow(id) {
  const row = make("div", "verdict", undefined, { "data-verdict": id });
  row.append(judging(id), make("span", "says", ""));
  dressRow(row, id);
  return row;
}

function dressRow(row, id) {
  const { flag, stars, by } = verdict(id);
  row.dataset.flag = flag;
  row.querySelectorAll(".star").forEach((star, number) => star.classList.toggle("on", number < stars));
  row.querySelector(".says").textContent = inWords(id) + (by ? ` · ${by}` : "");
}

export function startCompare() {
  const marked = store.shown.filter((image) => store.marked.has(image.id) && !image.failure).map((image) => image.id);
  if (marked.length >= 2) panes = marked.slice(0, MAX_PANES);
  else {
    const place = Math.max(0, currentPlace());
    const others = store.shown.filter((image, number) => number !== place && !image.failure);
    const next = marked.find((id) => id !== store.current) ?? (store.shown[place + 1] || others.at(-1))?.id;
    panes = [store.current, next].filter((id) => id && !store.byId.get(id).failure);
  }
  focused = 0;
  showCompare();
}

export function showCompare() {
  compare.replaceChildren();
  if (panes.length < 2) {
    compare.append(make("p", "note", "Two pictures are needed to compare: mark them with the space key in the grid."));
    return;
  }
  panes.forEach((id, number) => {
    const image = store.byId.get(id);
    const pane = make("figure", "pane");
    const picture = make("img", "", undefined, { alt: image.prompt });
    picture.style.aspectRatio = `${image.width} / ${image.height}`;
    fill(picture, id);
    const caption = make("figcaption");
    caption.append(make("b", "", image.title), make("span", "soft", image.detail), verdictRow(id));
    pane.append(picture, caption);
    pane.addEventListener("click", () => focusPane(number));
    compare.append(pane);
  });
  focusPane(focused);
}

export function focusPane(number) {
  if (!panes.length) return;
  focused = (number + panes.length) % panes.length;
  compare.querySelectorAll(".pane").forEach((pane, place) => {
    pane.classList.toggle("current", place === focused);
    pane.setAttribute("aria-current", place === focused);
  });
  select(panes[focused]);
}

export const stepPane = (step) => focusPane(focused + step);

// Another candidate in place of the one in focus: the next in the grid that is not being compared.
export function stepCandidate(step) {
  if (panes.length < 2) return;
  let place = store.shown.findIndex((image) => image.id === panes[focused]);
  do place += step;
  while (store.shown[place] && (panes.includes(store.shown[place].id) || store.shown[place].failure));
  if (!store.shown[place]) return;
  panes[focused] = store.shown[place].id;
  showCompare();
}

export function startViews() {
  changes.addEventListener("verdicts", () => {
    for (const row of document.querySelectorAll("[data-verdict]")) dressRow(row, row.dataset.verdict);
  });
}

