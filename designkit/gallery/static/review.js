// The review page: views, keys, filters and dialogs. All texts are set as text, never as markup.
import * as data from "./review-store.js";
import { columns, rowsInSight, setSide, showCurrent, startGrid } from "./review-grid.js";
import { showLoupe, startCompare, startViews, stepCandidate, stepPane, toggleActual } from "./review-views.js";
import { cast, showRanking, showVote } from "./review-vote.js";

const { store, byId, make, changes } = data;
const root = document.documentElement;
const POLL_MS = 2000;
const VIEWS = ["grid", "loupe", "compare", "vote", "ranking"];
let view = "grid";

const KEYS = [
  ["Judge", [["P", "pick (again: take back)"], ["X", "reject (again: take back)"], ["⇧P ⇧X", "… and go on"], ["1 – 5", "stars"], ["0", "no stars"], ["U  Ctrl+Z", "undo"], ["Ctrl+⇧Z", "redo"]]],
  ["Move", [["← ↑ ↓ →", "to the next picture"], ["Home End", "first, last"], ["Enter", "large; back"], ["Z", "100 %"], ["Esc", "back to the grid"], ["+ −", "larger, smaller"]]],
  ["Compare", [["Space", "mark"], ["C", "compare side by side"], ["← →", "which one keys act on"], ["↑ ↓", "another candidate in its place"], ["Ctrl+D", "no marks"]]],
  ["Vote", [["V", "vote on pairs"], ["← →", "left, right is better"], ["↑  T", "equally good"], ["↓  S", "skip"], ["R", "ranking"]]],
  ["Page", [["F", "filters"], ["/", "search"], ["G", "grid"], ["E", "export"], ["?", "this list"]]],
];

const remember = (name, value) => {
  try {
    localStorage.setItem(name, value);
  } catch {}
};
const remembered = (name) => {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
};

function show(name) {
  view = name;
  document.body.dataset.view = name;
  for (const each of VIEWS) byId(`${each}-view`).hidden = each !== name;
  for (const tab of byId("tabs").children) tab.setAttribute("aria-selected", tab.dataset.view === name);
  if (name === "grid") {
    showCurrent();
    byId("grid").focus({ preventScroll: true });
    return;
  }
  if (name === "loupe") showLoupe();
  if (name === "compare") startCompare();
  if (name === "vote") showVote();
  if (name === "ranking") showRanking(() => show("loupe"));
  byId(`${name}-view`).focus({ preventScroll: true });
}

function judgeCurrent(what, goOn = false) {
  const image = store.byId.get(store.current);
  if (!image || image.failure) return;
  const now = data.verdict(image.id);
  if (what.flag && now.flag === what.flag && !goOn) what = { flag: "none" };
  const before = data.currentPlace();
  data.judge(image.id, what);
  toast(`${image.title}: ${data.inWords(image.id)}`);
  // Where the filter has taken the picture away, the next one is there already.
  if (goOn && store.shown[before]?.id === image.id) data.move(1);
}

async function takeBack(again) {
  const answer = await (again ? data.redo() : data.undo());
  if (!answer) return;
  const act = again ? answer.redone : answer.undone;
  if (!act) return toast(again ? "Nothing to redo" : "Nothing to undo");
  if (act.kind === "vote") {
    toast(again ? "Vote counts again" : "Vote taken back");
    if (view === "ranking") showRanking(() => show("loupe"));
    return;
  }
  const image = store.byId.get(act.image);
  toast(`${again ? "Again" : "Undone"}: ${image?.title ?? ""}`);
  if (view === "grid" || view === "loupe") {
    if (store.shown.some((each) => each.id === act.image)) data.select(act.image);
  }
}

let toastTimer = 0;
function toast(text) {
  byId("toast").textContent = text;
  byId("toast").classList.add("on");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => byId("toast").classList.remove("on"), 1800);
}

// --- keys -----------------------------------------------------------------------------------------------------------

function onKey(event) {
  const target = event.target;
  if (document.querySelector("dialog[open]")) return;
  if (target.matches("input:not([type=range]):not([type=radio]), select")) {
    if (event.key === "Escape" || (event.key === "Enter" && target.matches("input"))) show(view === "grid" ? "grid" : view);
    return;
  }
  const isCommand = event.ctrlKey || event.metaKey;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let isTaken = true;
  if (isCommand) {
    if (key === "z") takeBack(event.shiftKey);
    else if (key === "y") takeBack(true);
    else if (key === "d" && view === "grid") data.clearMarks();
    else isTaken = false;
  } else if (event.altKey) isTaken = false;
  else isTaken = everywhere(event, key) || VIEW_KEYS[view](event, key);
  if (isTaken) event.preventDefault();
}

function everywhere(event, key) {
  if (key === "?") openHelp();
  else if (key === "u") takeBack(false);
  else if (key === "v") show("vote");
  else if (key === "r") show("ranking");
  else if (key === "g") show("grid");
  else if (key === "e") openExport();
  else if (key === "c" && view !== "compare") show("compare");
  else if (key === "Escape" || (key === "c" && view === "compare")) show("grid");
  else if (key === "f") toggleFilters();
  else if (key === "/") {
    toggleFilters(true);
    byId("search").focus();
  } else return false;
  return true;
}

function judgingKeys(event, key) {
  if (key === "p") judgeCurrent({ flag: "pick" }, event.shiftKey);
  else if (key === "x") judgeCurrent({ flag: "reject" }, event.shiftKey);
  else if (/^[0-5]$/.test(key)) judgeCurrent({ stars: Number(key) });
  else return false;
  return true;
}

const VIEW_KEYS = {
  grid(event, key) {
    // A button in focus keeps its own keys.
    if ((key === "Enter" || key === " ") && event.target.closest("button")) return false;
    if (event.target.matches("input[type=range]") && key.startsWith("Arrow")) return false;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), PageUp: -columns() * rowsInSight(), PageDown: columns() * rowsInSight(), Home: -Infinity, End: Infinity };
    if (key in steps) data.move(steps[key]);
    else if (key === "Enter") store.current && show("loupe");
    else if (key === " ") store.current && data.mark(store.current);
    else if (key === "+" || key === "=") resize(30);
    else if (key === "-") resize(-30);
    else return judgingKeys(event, key);
    return true;
  },
  loupe(event, key) {
    if (key === "ArrowLeft" || key === "ArrowUp") data.move(-1);
    else if (key === "ArrowRight" || key === "ArrowDown") data.move(1);
    else if (key === "Home") data.move(-Infinity);
    else if (key === "End") data.move(Infinity);
    else if (key === "Enter") show("grid");
    else if (key === " ") data.mark(store.current);
    else if (key === "z") toggleActual();
    else return judgingKeys(event, key);
    return true;
  },
  compare(event, key) {
    if (key === "ArrowLeft") stepPane(-1);
    else if (key === "ArrowRight") stepPane(1);
    else if (key === "ArrowUp") stepCandidate(-1);
    else if (key === "ArrowDown") stepCandidate(1);
    else if (key === "Enter") show("loupe");
    else return judgingKeys(event, key);
    return true;
  },
  vote(event, key) {
    const results = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", ArrowUp: "tie", t: "tie", "=": "tie", ArrowDown: "skip", s: "skip" };
    if (!(key in results) || event.repeat) return key in results;
    cast(results[key]);
    return true;
  },
  ranking: () => false,
};

// --- filters --------------------------------------------------------------------------------------------------------

const chips = []; // {chip, count, isOn, number}

function buildFilters() {
  const panel = byId("filters");
  panel.replaceChildren();
  chips.length = 0;
  const search = make("input", "", undefined, { id: "search", type: "search", placeholder: "Search prompts", "aria-label": "Search prompts" });
  search.value = store.filters.words;
  search.addEventListener("input", () => {
    store.filters.words = search.value.trim();
    refreshFilters();
  });
  panel.append(search);
  group("Verdict", [["all", "All"], ["open", "Unjudged"], ["pick", "Picks"], ["keep", "Not rejected"], ["reject", "Rejects"]].map(([value, text]) => ({
    text,
    isOn: () => store.filters.flag === value,
    toggle: () => (store.filters.flag = value),
    matches: (image) => value === "all" || withFilter({ flag: value }, image),
    except: "flag",
  })));
  group("Stars", [0, 1, 2, 3, 4, 5].map((number) => ({
    text: number ? `${"★".repeat(number)}${number < 5 ? "+" : ""}` : "Any",
    label: number ? `at least ${number} stars` : "any number of stars",
    isOn: () => store.filters.stars === number,
    toggle: () => (store.filters.stars = number),
    matches: (image) => data.verdict(image.id).stars >= number,
    except: "stars",
  })));
  const axes = new Map();
  for (const image of store.images) {
    for (const [axis, value] of Object.entries(image.facets)) {
      if (!axes.has(axis)) axes.set(axis, new Set());
      axes.get(axis).add(value);
    }
  }
  for (const [axis, values] of axes) {
    if (values.size < 2) continue;
    group(axis, [...values].map((value) => ({
      text: value,
      isOn: () => Boolean(store.filters.axes.get(axis)?.has(value)),
      toggle: () => {
        const set = store.filters.axes.get(axis) || new Set();
        set.has(value) ? set.delete(value) : set.add(value);
        set.size ? store.filters.axes.set(axis, set) : store.filters.axes.delete(axis);
      },
      matches: (image) => image.facets[axis] === value,
      except: axis,
    })));
  }
}

function withFilter({ flag }, image) {
  const { flag: now, stars } = data.verdict(image.id);
  if (flag === "open") return now === "none" && !stars;
  return flag === "keep" ? now !== "reject" : now === flag;
}

function group(title, entries) {
  const box = make("div", "group", undefined, { role: "group", "aria-label": title });
  box.append(make("h3", "", title));
  for (const entry of entries) {
    const chip = make("button", "chip", entry.text, { type: "button" });
    if (entry.label) chip.setAttribute("aria-label", entry.label);
    const count = make("small", "");
    chip.append(count);
    chip.addEventListener("click", () => {
      entry.toggle();
      refreshFilters();
    });
    chips.push({ ...entry, chip, count });
    box.append(chip);
  }
  byId("filters").append(box);
}

function refreshFilters() {
  data.refilter();
  dressFilters();
}

let filtersAreDue = false;
function dressFiltersSoon() {
  if (filtersAreDue) return;
  filtersAreDue = true;
  setTimeout(() => {
    filtersAreDue = false;
    dressFilters();
  }, 60);
}

function dressFilters() {
  const passing = new Map();
  for (const entry of chips) {
    if (!passing.has(entry.except)) passing.set(entry.except, store.images.filter((image) => data.passes(image, entry.except)));
    const number = passing.get(entry.except).filter(entry.matches).length;
    entry.count.textContent = number.toLocaleString("en");
    entry.chip.setAttribute("aria-pressed", entry.isOn());
    entry.chip.classList.toggle("empty", number === 0);
  }
  const isAll = store.shown.length === store.images.length;
  const total = `${store.images.length.toLocaleString("en")} pictures`;
  byId("shown").textContent = isAll ? total : `${store.shown.length.toLocaleString("en")} of ${total}`;
  byId("reset").hidden = isAll;
  const { picks, rejects, judged } = data.counts();
  byId("progress").textContent = `${judged.toLocaleString("en")} of ${store.images.length.toLocaleString("en")} judged · ${picks} picked · ${rejects} rejected · ${store.numVotes} votes`;
  byId("num-picks").textContent = `The ${picks} pick${picks === 1 ? "" : "s"}`;
}

function resetFilters() {
  store.filters = { flag: "all", stars: 0, words: "", axes: new Map() };
  byId("search").value = "";
  refreshFilters();
}

function toggleFilters(isOpen = document.body.dataset.filters !== "open") {
  document.body.dataset.filters = isOpen ? "open" : "closed";
  byId("toggle-filters").setAttribute("aria-expanded", isOpen);
  remember("filters", isOpen ? "open" : "closed");
}

function resize(step) {
  const slider = byId("side");
  slider.value = Number(slider.value) + step;
  setSide(Number(slider.value));
  remember("side", slider.value);
}

// --- dialogs --------------------------------------------------------------------------------------------------------

function openHelp() {
  byId("keys").replaceChildren(
    ...KEYS.map(([title, rows]) => {
      const box = make("section");
      const list = make("dl");
      for (const [keys, text] of rows) list.append(make("dt", "", keys), make("dd", "", text));
      box.append(make("h3", "", title), list);
      return box;
    }),
  );
  byId("help-dialog").showModal();
}

function openExport() {
  byId("export-result").textContent = "";
  byId("picks-folder").textContent = store.run.picks;
  byId("export-dialog").showModal();
}

async function exportNow() {
  const isByStars = document.querySelector("input[name=what]:checked").value === "stars";
  byId("export-result").textContent = "Copying …";
  try {
    const done = await data.ask("/api/export", { min_stars: isByStars ? Number(byId("min-stars").value) : null });
    const copies = `${done.copies.length} cop${done.copies.length === 1 ? "y" : "ies"} in the folder`;
    const removed = done.removed.length ? `, ${done.removed.length} of an earlier choice removed` : "";
    byId("export-result").textContent = [`${copies}${removed}.`, ...done.warnings].join("\n");
  } catch (error) {
    byId("export-result").textContent = `Not exported: ${error.message}`;
  }
}

// --- wiring ---------------------------------------------------------------------------------------------------------

function wire() {
  document.addEventListener("keydown", onKey);
  byId("tabs").addEventListener("click", (event) => event.target.dataset.view && show(event.target.dataset.view));
  byId("tabs").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !event.target.matches("[role=tab]")) return;
    const tabs = [...byId("tabs").children];
    tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length].focus();
    event.preventDefault();
    event.stopPropagation();
  });
  byId("undo").addEventListener("click", () => takeBack(false));
  byId("help").addEventListener("click", openHelp);
  byId("export").addEventListener("click", openExport);
  byId("export-now").addEventListener("click", exportNow);
  byId("reset").addEventListener("click", resetFilters);
  byId("toggle-filters").addEventListener("click", () => toggleFilters());
  byId("side").addEventListener("input", () => resize(0));
  byId("sort").addEventListener("change", (event) => {
    store.sort = event.target.value;
    data.refilter();
  });
  byId("new-pictures").addEventListener("click", () => location.reload());
  byId("reviewer").addEventListener("change", (event) => {
    store.reviewer = event.target.value.trim() || store.run.reviewer;
    event.target.value = store.reviewer;
    remember("reviewer", store.reviewer);
  });
  byId("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    remember("theme", root.dataset.theme);
  });
  changes.addEventListener("shown", dressFiltersSoon);
  changes.addEventListener("verdicts", dressFiltersSoon);
  changes.addEventListener("votes", dressFiltersSoon);
  changes.addEventListener("current", () => view === "loupe" && showLoupe());
  changes.addEventListener("more", () => (byId("new-pictures").hidden = false));
  changes.addEventListener("saving", (event) => {
    byId("saved").textContent = event.detail ? "Saving …" : "Saved";
    byId("saved").dataset.state = event.detail ? "saving" : "saved";
  });
  changes.addEventListener("trouble", (event) => {
    const trouble = event.detail;
    if (trouble) {
      const reason = trouble.error instanceof TypeError ? "the server has gone; start designkit review again and open its new link" : trouble.error.message;
      byId("banner").textContent = trouble.isLost ? `Not saved: ${reason}` : `No connection: ${reason}`;
      byId("saved").textContent = "Not saved";
      byId("saved").dataset.state = "lost";
      byId("banner").hidden = false;
    } else if (!byId("banner").hidden) {
      byId("banner").hidden = true;
      byId("saved").textContent = "Saved";
      byId("saved").dataset.state = "saved";
    }
  });
}

async function start() {
  const theme = remembered("theme");
  if (theme) root.dataset.theme = theme;
  store.reviewer = remembered("reviewer") || "";
  byId("side").value = remembered("side") || 200;
  toggleFilters(remembered("filters") ? remembered("filters") === "open" : innerWidth > 900);
  wire();
  startViews();
  try {
    await data.load();
  } catch (error) {
    byId("banner").textContent = `The run cannot be shown: ${error.message}`;
    byId("banner").hidden = false;
    return;
  }
  document.title = `${store.run.name} · review`;
  byId("name").textContent = store.run.name;
  byId("name").title = store.run.facts;
  byId("reviewer").value = store.reviewer;
  buildFilters();
  dressFilters();
  startGrid((id) => {
    data.select(id);
    show("loupe");
  });
  setSide(Number(byId("side").value));
  show("grid");
  setInterval(() => document.hidden || data.poll(), POLL_MS);
  document.addEventListener("visibilitychange", () => document.hidden || data.poll());
}

start();
