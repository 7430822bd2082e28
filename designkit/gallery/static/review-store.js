// What the page knows: the pictures, what has been said about them, which of them are shown, and what is on its way.
export const store = {
  run: null,
  images: [],
  byId: new Map(),
  shown: [], // the pictures that pass the filters, in order
  current: null, // the id of the picture that keys act on
  marked: new Set(), // ids marked for comparing
  reviewer: "",
  numVotes: 0,
  filters: { flag: "all", stars: 0, words: "", axes: new Map() },
  sort: "plan",
};

export const changes = new EventTarget(); // "verdicts" (detail: ids), "shown", "current", "saving", "trouble", "votes"
const tell = (name, detail) => changes.dispatchEvent(new CustomEvent(name, { detail }));

const known = new Map(); // id -> [flag, stars, reviewer], as the server says
const pending = []; // verdicts that the server has not confirmed yet
const NOTHING = ["none", 0, ""];
let version = 0;
let line = Promise.resolve();
let numWaiting = 0;

export async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const answer = await fetch(path, { ...options, credentials: "same-origin" });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error || `the server answered ${answer.status}`);
  return content;
}

export async function load() {
  const run = await ask("/api/run");
  store.run = run;
  store.images = run.images;
  store.byId = new Map(run.images.map((image) => [image.id, image]));
  run.images.forEach((image, place) => {
    image.place = place;
    image.words = [image.title, image.prompt, ...Object.values(image.facets), image.id].join(" ").toLowerCase();
  });
  store.reviewer = store.reviewer || run.reviewer;
  known.clear();
  take(run);
  refilter();
}

export function verdict(id) {
  let [flag, stars, by] = known.get(id) || NOTHING;
  for (const each of pending) {
    if (each.image === id) {
      flag = each.flag ?? flag;
      stars = each.stars ?? stars;
      by = each.reviewer;
    }
  }
  return { flag, stars, by };
}

export function judge(id, what) {
  const said = { image: id, reviewer: store.reviewer, ...what };
  pending.push(said);
  tell("verdicts", [id]);
  refilter();
  return send("/api/verdict", said, () => pending.splice(pending.indexOf(said), 1), [id]);
}

export const vote = (left, right, result) => send("/api/vote", { left, right, result, reviewer: store.reviewer });
export const undo = () => send("/api/undo", { reviewer: store.reviewer });
export const redo = () => send("/api/redo", { reviewer: store.reviewer });

// One request after the other, so that the log has them in the order in which they were said.
function send(path, body, settle = () => {}, ids = []) {
  numWaiting += 1;
  tell("saving", numWaiting);
  const sent = line.then(async () => {
    let answer = null;
    try {
      answer = await ask(path, { ...body, since: version });
      tell("trouble", null);
    } catch (error) {
      tell("trouble", { error, isLost: true });
    }
    settle();
    numWaiting -= 1;
    tell("saving", numWaiting);
    if (answer) take(answer, ids);
    else {
      tell("verdicts", ids);
      refilter();
    }
    return answer;
  });
  line = sent;
  return sent;
}

export async function poll() {
  if (numWaiting) return;
  try {
    take(await ask("/api/changes", { since: version }));
    tell("trouble", null);
  } catch (error) {
    tell("trouble", { error, isLost: false });
  }
}

function take(answer, ids = []) {
  version = answer.version;
  for (const [id, standing] of Object.entries(answer.standings)) known.set(id, standing);
  const changed = [...new Set([...Object.keys(answer.standings), ...ids])];
  if (store.numVotes !== answer.votes) {
    store.numVotes = answer.votes;
    tell("votes");
  }
  if (typeof answer.images === "number" && answer.images !== store.images.length) tell("more", answer.images);
  if (changed.length) {
    tell("verdicts", changed);
    refilter();
  }
}

export function counts() {
  const found = { picks: 0, rejects: 0, judged: 0, stars: [0, 0, 0, 0, 0, 0] };
  for (const image of store.images) {
    const { flag, stars } = verdictOf(image);
    if (flag === "pick") found.picks += 1;
    if (flag === "reject") found.rejects += 1;
    if (flag !== "none" || stars) found.judged += 1;
    for (let each = 1; each <= stars; each += 1) found.stars[each] += 1;
  }
  return found;
}

// Without the pending ones where there are none: this runs for every picture at every change.
function verdictOf(image) {
  if (pending.length) return verdict(image.id);
  const [flag, stars] = known.get(image.id) || NOTHING;
  return { flag, stars };
}

export function passes(image, except) {
  const { filters } = store;
  const { flag, stars } = verdictOf(image);
  if (except !== "flag") {
    if (filters.flag === "pick" && flag !== "pick") return false;
    if (filters.flag === "reject" && flag !== "reject") return false;
    if (filters.flag === "keep" && flag === "reject") return false;
    if (filters.flag === "open" && (flag !== "none" || stars)) return false;
  }
  if (except !== "stars" && stars < filters.stars) return false;
  for (const [axis, values] of filters.axes) {
    if (axis !== except && !values.has(image.facets[axis] ?? "")) return false;
  }
  return !filters.words || filters.words.toLowerCase().split(/\s+/).every((word) => image.words.includes(word));
}

export function refilter() {
  const before = store.shown;
  const place = before.findIndex((image) => image.id === store.current);
  store.shown = store.images.filter((image) => passes(image));
  if (store.sort === "stars") {
    const key = (image) => {
      const { flag, stars } = verdictOf(image);
      return stars + (flag === "pick" ? 10 : flag === "reject" ? -10 : 0);
    };
    store.shown.sort((one, other) => key(other) - key(one) || one.place - other.place);
  }
  const isSame = before.length === store.shown.length && before.every((image, number) => image === store.shown[number]);
  if (!isSame) tell("shown");
  if (!store.shown.some((image) => image.id === store.current)) {
    // Where the picture was, its neighbour is now: going through the unjudged ones needs no arrow key.
    select(store.shown[Math.min(Math.max(place, 0), store.shown.length - 1)]?.id ?? null);
  }
}

export function select(id) {
  if (store.current === id) return;
  store.current = id;
  tell("current");
}

export function currentPlace() {
  return store.shown.findIndex((image) => image.id === store.current);
}

export function move(step) {
  if (!store.shown.length) return;
  const place = Math.min(Math.max(currentPlace() + step, 0), store.shown.length - 1);
  select(store.shown[place].id);
}

export function mark(id) {
  store.marked.has(id) ? store.marked.delete(id) : store.marked.add(id);
  tell("verdicts", [id]);
}

export function clearMarks() {
  const ids = [...store.marked];
  store.marked.clear();
  tell("verdicts", ids);
}

export const make = (tag, className = "", text = undefined, attributes = {}) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

export const byId = (id) => document.getElementById(id);
export const thumbnailOf = (id) => `/thumbnail?id=${encodeURIComponent(id)}`;
export const pictureOf = (id) => `/image?id=${encodeURIComponent(id)}`;

export function inWords(id) {
  const { flag, stars } = verdict(id);
  const words = [{ pick: "picked", reject: "rejected", none: "" }[flag], stars ? `${stars} star${stars > 1 ? "s" : ""}` : ""];
  return words.filter(Boolean).join(", ") || "not judged";
}
