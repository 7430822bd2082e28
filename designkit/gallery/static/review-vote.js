// Blind votes on pairs, and what they say: names hidden, sides decided by the server's chance.
import { ask, byId, changes, make, select, store, thumbnailOf, vote } from "./review-store.js";
import { fill } from "./review-views.js";

const MAX_POOL = 400;
const MAX_RANKED = 200;
const voting = byId("vote-view");
const ranking = byId("ranking-view");
const percent = (share) => `${Math.round(share * 100)} %`;
let pair = null;
let isReady = false;
let turn = 0;

function pool() {
  const able = store.shown.filter((image) => !image.failure).map((image) => image.id);
  // A random part of a long list: the server looks for the most telling pair among these.
  for (let place = able.length - 1; place > 0 && able.length > MAX_POOL; place -= 1) {
    const other = Math.floor(Math.random() * (place + 1));
    [able[place], able[other]] = [able[other], able[place]];
  }
  return able.slice(0, MAX_POOL);
}

export async function showVote() {
  const number = (turn += 1);
  isReady = false;
  let found = null;
  try {
    found = (await ask("/api/pair", { reviewer: store.reviewer, pool: pool() })).pair;
  } catch (error) {
    if (number === turn) voting.replaceChildren(make("p", "note", `No pair can be had: ${error.message}`));
    return;
  }
  if (number !== turn) return;
  pair = found;
  if (!pair) {
    voting.replaceChildren(make("p", "note", "There is no pair left to vote on among the pictures shown. Show more of them in the grid, or look at the ranking (R)."));
    return;
  }
  const question = make("p", "question", "Which one is better?");
  const panes = make("div", "panes");
  const loads = pair.map((id, place) => {
    const image = store.byId.get(id);
    const button = make("button", "pane", undefined, { type: "button", "aria-label": place ? "The right one is better" : "The left one is better" });
    const picture = make("img", "", undefined, { alt: place ? "Right picture" : "Left picture", draggable: "false" });
    picture.style.aspectRatio = `${image.width} / ${image.height}`;
    button.append(picture);
    button.addEventListener("click", () => cast(place ? "right" : "left"));
    panes.append(button);
    return fill(picture, id);
  });
  const answers = make("div", "answers");
  for (const [result, key, text] of [["left", "←", "Left"], ["tie", "↑", "Equally good"], ["skip", "↓", "Skip"], ["right", "→", "Right"]]) {
    const button = make("button", result === "left" || result === "right" ? "main" : "quiet wide", undefined, { type: "button", "data-result": result });
    button.append(make("kbd", "", key), ` ${text}`);
    button.addEventListener("click", () => cast(result));
    answers.append(button);
  }
  const shown = store.shown.length;
  const among = `${store.numVotes.toLocaleString("en")} vote${store.numVotes === 1 ? "" : "s"} so far · among the ${shown.toLocaleString("en")} pictures shown in the grid · U takes the last vote back · R ranking`;
  voting.replaceChildren(question, panes, answers, make("p", "soft hint", among));
  voting.dataset.state = "loading";
  await Promise.all(loads);
  if (number !== turn) return;
  isReady = true;
  voting.dataset.state = "ready";
}

// Not before both pictures are there: nobody can judge what has not come yet.
export async function cast(result) {
  if (!isReady || !pair) return;
  isReady = false;
  voting.dataset.state = "sending";
  const [left, right] = pair;
  await vote(left, right, result);
  if (!voting.hidden) await showVote();
}

export async function showRanking(openPicture) {
  let found;
  try {
    found = await ask("/api/ranking");
  } catch (error) {
    ranking.replaceChildren(make("p", "note", `The ranking cannot be had: ${error.message}`));
    return;
  }
  if (!found.votes) {
    ranking.replaceChildren(make("p", "note", "Nobody has voted yet. Press V: two pictures side by side, names hidden, one key each."));
    return;
  }
  const sided = found.votes - found.ties;
  const head = make("div", "head");
  head.append(
    make("h2", "", "What the votes say"),
    make("p", "soft", `${found.votes} votes, ${found.ties} of them ties · the left side was chosen in ${sided ? percent(found.left / sided) : "–"} of the others. The bar is the chance of being preferred to an average one of these, with its 95 % interval (Bradley–Terry).`),
  );
  const pictures = make("section", "table");
  pictures.append(make("h3", "", `Pictures (${found.images.length})`));
  found.images.slice(0, MAX_RANKED).forEach((each) => {
    const image = store.byId.get(each.name);
    const row = make("button", "row", undefined, { type: "button" });
    const picture = make("img", "", undefined, { alt: "", loading: "lazy" });
    picture.src = thumbnailOf(each.name);
    row.append(make("span", "place", String(each.rank)), picture, make("span", "title", image?.title ?? each.name), interval(each), figures(each));
    row.addEventListener("click", () => {
      if (!store.shown.some((shown) => shown.id === each.name)) return;
      select(each.name);
      openPicture();
    });
    pictures.append(row);
  });
  const axes = make("section", "table");
  for (const [axis, values] of Object.entries(found.axes)) {
    axes.append(make("h3", "", axis));
    for (const each of values) {
      const row = make("div", "row");
      row.append(make("span", "title", each.name || "(none)"), interval(each), figures(each));
      axes.append(row);
    }
  }
  if (!Object.keys(found.axes).length) axes.append(make("p", "soft", "The pictures voted on differ on no axis."));
  const columns = make("div", "columns");
  columns.append(pictures, axes);
  ranking.replaceChildren(head, columns);
}

function interval({ preferred, low, high }) {
  const bar = make("span", "interval", undefined, { role: "img", "aria-label": `${percent(preferred)}, between ${percent(low)} and ${percent(high)}` });
  const range = make("span", "range");
  const point = make("span", "point");
  range.style.left = percent(low).replace(" ", "");
  range.style.width = `${Math.max(0.5, (high - low) * 100)}%`;
  point.style.left = `${preferred * 100}%`;
  bar.append(range, point);
  return bar;
}

function figures({ preferred, low, high, won, lost, tied }) {
  const text = make("span", "figures");
  text.append(make("b", "", percent(preferred)), ` ${Math.round(low * 100)}–${Math.round(high * 100)}`, make("small", "", `${won} won, ${lost} lost${tied ? `, ${tied} tied` : ""}`));
  return text;
}

changes.addEventListener("votes", () => {
  const hint = voting.querySelector(".hint");
  if (hint) hint.textContent = hint.textContent.replace(/^[\d,]+ votes?/, `${store.numVotes.toLocaleString("en")} vote${store.numVotes === 1 ? "" : "s"}`);
});
