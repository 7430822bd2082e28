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
let view = "gallery";
let isZoomed = false;
let leaf = ""; // The page of the grid: what all its pictures share on the axes that are neither across nor down.
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
  const link = make("a", "", run.sheets.length > 1 ? String(number + 1) : "contact sheet");
  link.href = encodeURI(file);
  byId("facts").append(number ? " " : run.sheets.length > 1 ? "contact sheets " : "", link);
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

function framed(image, kind) {
  const card = make("button", image.earlier ? `${kind} earlier` : kind);
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
  const said = { pick: "✓", reject: "✕", none: "" }[image.flag] + "★".repeat(image.stars);
  if (said) frame.append(make("span", `said ${image.flag}`, said));
  card.append(frame);
  card.addEventListener("click", () => show(shown.indexOf(image)));
  return card;
}

const cards = images.map((image) => {
  const card = framed(image, "card");
  card.append(make("span", "title", image.title), make("span", "detail", image.detail));
  return card;
});
byId("gallery").append(...cards);
const cardOf = new Map(images.map((image, number) => [image, cards[number]]));

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
  sortShown();
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
  if (view === "grid") layOut();
}

// Scores, where the run was evaluated: tables above the pictures, and an order to see them in.

let sortedBy = "";

function sortShown() {
  const key = byId("sort").value;
  const sign = key && run.scores.sorts.find(([name]) => name === key)[2] ? -1 : 1;
  const rank = (image) => (key in image.scores ? sign * image.scores[key] : Infinity);
  const compare = (one, two) => {
    const [first, second] = [rank(one), rank(two)];
    return first === second ? 0 : first - second;
  };
  if (key) shown.sort(compare);
  if (key === sortedBy) return;
  sortedBy = key;
  byId("gallery").append(...(key ? [...images].sort(compare) : images).map((image) => cardOf.get(image)));
}

function scoreTable(heads, rows) {
  const table = make("table");
  const head = make("tr");
  head.append(...heads.map((text) => make("th", "", text)));
  const top = make("thead");
  top.append(head);
  const body = make("tbody");
  body.append(...rows);
  table.append(top, body);
  const frame = make("div", "scroll");
  frame.append(table);
  return frame;
}

function line(texts) {
  const row = make("tr");
  row.append(...texts.map((text, number) => make(number ? "td" : "th", "", text)));
  return row;
}

if (run.scores) {
  const rows = run.scores.measures.map(([title, mean, interval, about]) => line([title, mean, interval, about]));
  byId("scores").append(scoreTable(["measure", "mean", "95 % interval", "what it says"], rows));
  for (const { axis, columns, rows } of run.scores.axes) {
    const lines = rows.map(({ title, cells, best, leads, p }) => {
      const row = line([title]);
      cells.forEach(([mean, interval], number) => {
        const cell = make("td", number === best && leads ? "leads" : "");
        cell.append(make("span", "", mean), make("small", "", interval));
        row.append(cell);
      });
      row.append(make("td", "verdict", leads ? `${columns[best]} leads (p ${p})` : `within noise (p ${p})`));
      return row;
    });
    byId("scores").append(make("h3", "", `by ${axis}`), scoreTable(["", ...columns, ""], lines));
  }
  if (run.scores.sets.length) {
    const heads = ["score", "value", "95 % interval", "at the size of the floor", "real against real"];
    byId("scores").append(make("h3", "", `against ${run.scores.reference}`), scoreTable(heads, run.scores.sets.map(line)));
  }
  byId("scores").hidden = false;
  for (const [key, title] of run.scores.sorts) {
    const choice = make("option", "", title);
    choice.value = key;
    byId("sort").append(choice);
  }
  byId("sort").addEventListener("change", filter);
  byId("sorting").hidden = false;
}

// The grid: one axis across, one down; the pictures that differ on other axes are turned over like pages.

const axes = [...facets].filter(([, values]) => values.size > 1).map(([axis]) => axis);
const valueOf = (image, axis) => image.facets[axis] ?? "–";
const across = byId("across");
const down = byId("down");

function option(value, text) {
  const element = make("option", "", text);
  element.value = value;
  return element;
}

function leafOf(image) {
  return axes
    .filter((axis) => axis !== across.value && axis !== down.value && axis in image.facets)
    .map((axis) => `${axis} ${image.facets[axis]}`)
    .join(" · ");
}

function valuesOn(axis, pictures) {
  const order = [...facets.get(axis).keys(), "–"];
  const present = new Set(pictures.map((image) => valueOf(image, axis)));
  return order.filter((value) => present.has(value));
}

function layOut() {
  const leaves = [...new Set(shown.map(leafOf))];
  if (leaf !== "*" && !leaves.includes(leaf)) leaf = leaves[0] ?? "";
  byId("leaf").replaceChildren(...leaves.map((name) => option(name, name || "everything else")), option("*", "all together"));
  byId("leaf").value = leaf;
  byId("turning").hidden = leaves.length < 2;
  const place = leaves.indexOf(leaf);
  byId("turn-back").disabled = place < 1;
  byId("turn-on").disabled = place < 0 || place === leaves.length - 1;

  const pictures = leaf === "*" ? shown : shown.filter((image) => leafOf(image) === leaf);
  const columns = valuesOn(across.value, pictures);
  const rows = valuesOn(down.value, pictures);
  const places = new Map();
  for (const image of pictures) {
    const key = JSON.stringify([valueOf(image, across.value), valueOf(image, down.value)]);
    places.set(key, [...(places.get(key) || []), image]);
  }
  const table = make("table");
  const head = make("tr");
  const corner = make("th", "", down.value);
  head.append(corner);
  columns.forEach((column, number) => {
    const cell = make("th");
    cell.scope = "col";
    if (number === 0) cell.append(make("small", "", across.value));
    cell.append(column);
    head.append(cell);
  });
  const body = make("tbody");
  const ordered = [];
  for (const row of rows) {
    const line = make("tr");
    const label = make("th", "", row);
    label.scope = "row";
    line.append(label);
    for (const column of columns) {
      const here = places.get(JSON.stringify([column, row])) || [];
      const cell = make("td", here.length ? "" : "empty");
      if (here.length) {
        const cells = make("div", here.length > 1 ? "cells several" : "cells");
        for (const image of here) {
          const picture = framed(image, "cell");
          picture.title = `${image.title}\n${image.detail}`;
          picture.setAttribute("aria-label", image.title);
          cells.append(picture);
        }
        cell.append(cells);
        ordered.push(...here);
      }
      line.append(cell);
    }
    body.append(line);
  }
  const top = make("thead");
  top.append(head);
  table.append(top, body);
  if (!isZoomed) {
    // As large as the columns fit beside each other, within reason.
    const room = (byId("grid").clientWidth - 130) / Math.max(1, columns.length) - 12;
    byId("grid").style.setProperty("--cell", `${Math.round(Math.min(300, Math.max(120, room)))}px`);
  }
  if (pictures.length) byId("grid").style.setProperty("--usual", pictures[0].width / pictures[0].height);
  byId("grid").replaceChildren(pictures.length ? table : make("p", "note", "No picture passes the filters."));
  shown = ordered;
}

function setView(name) {
  view = name;
  byId("gallery").hidden = view !== "gallery";
  byId("grid").hidden = byId("axes").hidden = view !== "grid";
  byId("as-gallery").setAttribute("aria-pressed", view === "gallery");
  byId("as-grid").setAttribute("aria-pressed", view === "grid");
  filter();
  remember();
}

function remember() {
  const words = [across.value, down.value].map(encodeURIComponent).join(",");
  location.replace(view === "grid" ? `#grid=${words}` : "#");
}

function turn(step) {
  const leaves = [...byId("leaf").options].map((each) => each.value);
  leaf = leaves[leaves.indexOf(leaf) + step] ?? leaf;
  filter();
}

if (axes.length > 1) {
  const written = /^#grid=([^,]*),([^,]*)$/.exec(location.hash);
  const wanted = written ? written.slice(1).map(decodeURIComponent) : [];
  const [first, second] = wanted.every((axis) => axes.includes(axis)) && wanted[0] !== wanted[1] && written ? wanted : run.grid || axes;
  for (const select of [across, down]) select.append(...axes.map((axis) => option(axis, axis)));
  across.value = first;
  down.value = second;
  for (const [select, other] of [[across, down], [down, across]]) {
    let before = select.value;
    select.addEventListener("focus", () => (before = select.value));
    select.addEventListener("change", () => {
      // Choosing the other's axis swaps the two.
      if (select.value === other.value) other.value = before;
      before = select.value;
      filter();
      remember();
    });
  }
  byId("swap").addEventListener("click", () => {
    [across.value, down.value] = [down.value, across.value];
    filter();
    remember();
  });
  byId("leaf").addEventListener("change", (event) => {
    leaf = event.target.value;
    filter();
  });
  byId("turn-back").addEventListener("click", () => turn(-1));
  byId("turn-on").addEventListener("click", () => turn(1));
  byId("as-gallery").addEventListener("click", () => setView("gallery"));
  byId("as-grid").addEventListener("click", () => setView("grid"));
  byId("views").hidden = false;
  view = written ? "grid" : "gallery";
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
    ...[...image.settings, ...image.rated].flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]),
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
  isZoomed = true;
  byId("gallery").style.setProperty("--row", `${event.target.value}px`);
  byId("grid").style.setProperty("--cell", `${Math.round(event.target.value * 0.88)}px`);
});
byId("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
axes.length > 1 ? setView(view) : filter();
