"use strict";
// Everything on the page comes from the JSON block above. Texts are set as text, never as markup.
const run = JSON.parse(document.getElementById("run").textContent);
const byId = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

const images = run.images;
const facets = new Map(); // axis -> Map(value -> number of images)
const chosen = new Map(); // axis -> Set of values that may be shown; no entry means all
let shown = images;
let current = 0;

for (const image of images) {
  image.facets = { ...image.choices, ...image.extra };
  image.words = [image.prompt, image.negative, ...Object.values(image.facets), image.id].join(" ").toLowerCase();
  for (const [axis, value] of Object.entries(image.facets)) {
    if (!facets.has(axis)) facets.set(axis, new Map());
    facets.get(axis).set(value, (facets.get(axis).get(value) || 0) + 1);
  }
}

byId("name").textContent = run.name;
byId("facts").append(run.facts + " · ");
run.sheets.forEach((file, number) => {
  const link = make("a", "", run.sheets.length > 1 ? `contact sheet ${number + 1}` : "contact sheet");
  link.href = encodeURI(file);
  byId("facts").append(...(number ? [", ", link] : [link]));
});

const chips = [];
for (const [axis, values] of facets) {
  if (values.size < 2) continue;
  const group = make("div", "axis");
  group.append(make("b", "", axis));
  for (const value of values.keys()) {
    const chip = make("button", "", value);
    const count = make("small");
    chip.type = "button";
    chip.append(count);
    chip.addEventListener("click", () => {
      const set = chosen.get(axis) || new Set();
      set.has(value) ? set.delete(value) : set.add(value);
      set.size ? chosen.set(axis, set) : chosen.delete(axis);
      filter();
    });
    chips.push({ chip, count, axis, value });
    group.append(chip);
  }
  byId("filters").append(group);
}

const cards = images.map((image) => {
  const card = make("button", image.earlier ? "card earlier" : "card");
  card.type = "button";
  card.style.setProperty("--ratio", image.width / image.height);
  const frame = make("span", "frame");
  if (image.file) {
    const picture = make("img");
    picture.loading = "lazy";
    picture.decoding = "async";
    picture.width = image.width;
    picture.height = image.height;
    picture.alt = image.prompt;
    picture.src = encodeURI(image.file);
    frame.append(picture);
  } else {
    frame.append(make("span", "failed", image.failure));
  }
  card.append(frame, make("span", "title", image.title), make("span", "detail", image.detail));
  card.addEventListener("click", () => show(shown.indexOf(image)));
  return card;
});
byId("gallery").append(...cards);

function passes(image, words, except) {
  for (const [axis, values] of chosen) if (axis !== except && !values.has(image.facets[axis])) return false;
  return words.every((word) => image.words.includes(word));
}

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  shown = images.filter((image, number) => {
    const visible = passes(image, words);
    cards[number].hidden = !visible;
    return visible;
  });
  for (const { chip, count, axis, value } of chips) {
    const number = images.filter((image) => image.facets[axis] === value && passes(image, words, axis)).length;
    count.textContent = number;
    chip.classList.toggle("none", number === 0);
    chip.setAttribute("aria-pressed", Boolean(chosen.get(axis)?.has(value)));
  }
  const all = shown.length === images.length;
  byId("shown").textContent = all ? "" : `${shown.length} of ${images.length} shown`;
  if (!all) {
    const reset = make("button", "", "Show all");
    reset.type = "button";
    reset.addEventListener("click", () => {
      chosen.clear();
      byId("search").value = "";
      filter();
    });
    byId("shown").append(reset);
  }
}

function show(number) {
  const image = shown[number];
  if (!image) return;
  current = number;
  byId("picture").hidden = !image.file;
  if (image.file) {
    byId("picture").src = encodeURI(image.file);
    byId("picture").alt = image.prompt;
    byId("picture").style.setProperty("--ratio", image.width / image.height);
    byId("picture").style.setProperty("--width", `${image.width}px`);
    byId("original").href = encodeURI(image.file);
  } else {
    byId("picture").removeAttribute("src");
    byId("original").removeAttribute("href");
  }
  byId("label").textContent = image.title;
  byId("prompt").textContent = image.prompt;
  byId("negative").textContent = image.negative ? `Without: ${image.negative}` : "";
  byId("copy").textContent = "Copy prompt";
  byId("settings").replaceChildren(
    ...image.settings.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]),
  );
  byId("before").disabled = number === 0;
  byId("after").disabled = number === shown.length - 1;
  if (!byId("viewer").open) byId("viewer").showModal();
}

byId("before").addEventListener("click", () => show(current - 1));
byId("after").addEventListener("click", () => show(current + 1));
byId("close").addEventListener("click", () => byId("viewer").close());
byId("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") show(current - 1);
  if (event.key === "ArrowRight") show(current + 1);
});
byId("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(shown[current].prompt);
    byId("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(byId("prompt"));
    byId("copy").textContent = "Selected: press Ctrl+C";
  }
});
byId("search").addEventListener("input", filter);
byId("zoom").addEventListener("input", (event) => {
  byId("gallery").style.setProperty("--row", `${event.target.value}px`);
});
byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
filter();
