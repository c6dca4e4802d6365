// The page, whoever serves it: `charcnn serve` inside Gradio's, `charcnn export-page` as files. Only textContent ever receives
// what is typed.

import { fetchBytes, isBlank, load } from "./charcnn.js";
import { alignedWeights, counter, lengthHint, Newest, pieces, readsOnly, wordWeights } from "./reading.js";

const DRAFT = "charcnn draft";
const find = (css) => document.querySelector(css);
const page = { scorer: null, loading: false, failed: false, byHand: false, sending: false, asking: false, foreign: false };
Object.assign(page, { brand: null, brands: [], shown: { text: [], weights: [] } });
let places, area, layer, slider, stars, submit, another, notice; // the parts of the page, once they are there

function say(kind, message) {
  notice.className = kind;
  notice.textContent = message;
}

// As if it had been typed or moved: whoever drew the element hears of it, too.
function put(element, value) {
  if (element.value === `${value}`) return;
  const kind = element instanceof HTMLTextAreaElement ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, "value").set.call(element, value);
  element.dispatchEvent(new Event("input", { bubbles: true }));
}

// ---- the company

const make = (tag, properties, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

function showBrand(brand) {
  page.brand = brand;
  const logo = make("img", { src: brand.logo, alt: `${brand.name}, website` });
  const link = make("a", { href: brand.website, target: "_blank", rel: "noopener noreferrer" }, logo);
  const question = make("h1", { textContent: `What do you think of ${brand.name}?` });
  find("#brand .brand").replaceChildren(link, question);
}

function nextBrand() {
  const others = page.brands.filter((brand) => brand !== page.brand);
  if (others.length) showBrand(others[Math.floor(Math.random() * others.length)]);
}

function startAnew() {
  nextBrand();
  page.byHand = false;
  put(area, "");
}

// Whoever has written something is asked before it goes.
function anotherBrand() {
  const asks = !isBlank(area.value) && !page.asking;
  page.asking = asks;
  if (asks) return say("", "Your text is not submitted. Press once more to leave it.");
  if (!page.failed) say("", "");
  startAnew();
}

// ---- the draft, which survives a reload

function keepDraft() {
  try {
    const draft = { brand: page.brand?.name, text: area.value, rating: page.byHand ? slider.value : null };
    if (isBlank(area.value)) sessionStorage.removeItem(DRAFT);
    else sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    // a browser that keeps nothing
  }
}

function takeDraft() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

function openDraft(draft) {
  const brand = page.brands.find(({ name }) => name === draft?.brand);
  if (brand) showBrand(brand);
  else nextBrand();
  if (!draft || !isBlank(area.value)) return keepDraft(); // what was typed meanwhile stays
  put(area, draft.text);
  if (draft.rating) rate(draft.rating);
}

// ---- the score

function showReading(kind, percent, shown) {
  find("#reading .tone").className = `tone tone-${kind}`;
  find("#reading .percent").textContent = shown;
  find("#reading .fill").style.width = `${percent}%`;
  const bar = find("#reading .bar");
  bar.setAttribute("aria-valuenow", percent);
  bar.setAttribute("aria-valuetext", kind === "none" ? shown || "no score" : `${percent} percent, ${kind}`);
}

function showNothing(reason = "") {
  page.shown = { text: [], weights: [] };
  showReading("none", 0, reason);
  if (!page.byHand) put(slider, 3);
}

function showScore(text, score) {
  page.foreign = score.foreign;
  Object.assign(find("#reading .tone").dataset, { by: page.scorer ? "browser" : "server", read: text.length });
  if (score.foreign) {
    showNothing(readsOnly(places.languages));
  } else {
    const contributions = score.contributions ?? [];
    page.shown = { text: contributions.map(([character]) => character), weights: wordWeights(contributions) };
    const percent = Math.round(100 * score.score);
    showReading(score.label, percent, `${percent} %`);
    if (!page.byHand) put(slider, score.rating);
  }
  refresh();
}

// The server scores until model and runtime are here.
async function score(text) {
  if (page.scorer) return page.scorer.score(text);
  const answer = await fetch(places.read, { method: "POST", headers: { "Content-Type": "text/plain" }, body: text });
  const found = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(found.detail), { wait: Number(answer.headers.get("Retry-After")) });
  const characters = Array.from(found.characters ?? text);
  return { ...found, contributions: characters.map((character, i) => [character, (found.shares[i] ?? 0) / 1000]) };
}

const newest = new Newest(score, showScore, (e) => {
  if (page.scorer) return say("error", e.message);
  showNothing(e.wait ? "too fast, one moment" : "no answer");
  if (e.wait) setTimeout(read, 1000 * e.wait);
});

const canScore = () => Boolean(page.scorer || places.read);

function read() {
  if (!isBlank(area.value) && canScore()) newest.read(Array.from(area.value).slice(0, places.limit).join(""));
  else newest.text = "";
}

// ---- what follows the text: tints, stars, counter, Submit

function paint() {
  const now = Array.from(area.value);
  const weights = alignedWeights(now, page.shown.text, page.shown.weights);
  const spans = pieces(now, weights, places.reads).map(({ text, weight, unread }) => {
    const span = make("span", { textContent: text, className: unread ? "unread" : "" });
    const strength = (0.38 * Math.abs(weight)) / 9;
    if (weight) span.style.backgroundColor = `rgba(var(--tint-${weight > 0 ? "good" : "bad"}), ${strength.toFixed(3)})`;
    return span;
  });
  layer.replaceChildren(...spans, "\n"); // a final line break takes room only if something follows it
  layer.scrollTop = area.scrollTop;
  find("#count .hint").textContent = lengthHint(now.length, places.reads, places.limit);
  find("#count .number").textContent = counter(now.length, places.limit);
  find("#count").classList.toggle("over", now.length > places.limit);
  return now.length;
}

function refresh() {
  const tooLong = paint() > places.limit, blank = isBlank(area.value);
  const unrated = blank || (page.foreign && !page.byHand);
  slider.style.setProperty("--filled", `${25 * (slider.value - 1)}%`);
  stars.forEach((star) => {
    star.checked = !unrated && star.value === slider.value;
    const on = !unrated && Number(star.value) <= Number(slider.value), glyph = star.nextElementSibling;
    glyph.classList.toggle("on", on);
    glyph.textContent = on ? "★" : "☆";
  });
  const follows = page.foreign && !blank ? "yours to choose" : blank ? "follows your text" : "suggested from your text";
  find("#stars .hint").textContent = page.byHand ? "set by you" : follows;
  submit.disabled = unrated || tooLong || page.sending || !(canScore() || page.byHand);
  submit.setAttribute("aria-busy", page.sending);
  if (!blank && !canScore() && !page.failed) showReading("none", 0, "loading the model ...");
}

function rate(rating) {
  page.byHand = true;
  put(slider, rating);
  keepDraft();
  refresh();
}

function typed() {
  if (isBlank(area.value)) {
    page.byHand = page.foreign = false;
    showNothing();
  }
  page.asking = false;
  if (!page.failed) notice.classList.add("old");
  keepDraft();
  refresh();
  read();
}

// ---- Submit, for pages with an API

async function send() {
  const [brand, review] = [page.brand.name, area.value];
  const rating = page.byHand ? { rating: Number(slider.value) } : {}; // otherwise what the server suggests for this very text
  let answer, reason;
  try {
    const body = JSON.stringify({ brand, review, ...rating });
    const headers = { "Content-Type": "application/json" };
    answer = await fetch(`${places.api}/api/v1/reviews`, { method: "POST", headers, body });
    if (!answer.ok) reason = (await answer.json().catch(() => null))?.detail ?? `the server answered ${answer.status}`;
  } catch {
    reason = "the server does not answer. Try again later.";
  }
  if (reason) return say("error", `Not saved: ${reason}`);
  if (area.value === review) startAnew(); // what was typed meanwhile stays
  say("saved", `Thank you. Your review of ${brand} is saved.`);
}

async function submitReview() {
  page.sending = true;
  refresh();
  await send();
  page.sending = false;
  refresh();
}

// ---- start

function listen() {
  area.addEventListener("scroll", () => (layer.scrollTop = area.scrollTop));
  area.addEventListener("input", typed);
  area.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    if (!submit.disabled) submitReview();
  });
  slider.addEventListener("input", (event) => event.isTrusted && rate(slider.value)); // moved by a person
  stars.forEach((star) => star.addEventListener("input", () => rate(star.value)));
  another.addEventListener("click", anotherBrand);
  submit.addEventListener("click", submitReview);
}

const brandsOf = async (file) => JSON.parse(new TextDecoder().decode(await fetchBytes(new URL(file, location.href))));

async function loadModel() {
  const scorer = await load(places.model, { runtime: places.runtime, keep: places.keep });
  await scorer.score("The first text takes longest."); // nobody waits for it
  page.scorer = scorer;
  read();
  refresh();
}

// Where the server scores meanwhile, the model comes when there is nothing else to do; whoever saves data is spared it.
function loadLater() {
  const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 200));
  if (!navigator.connection?.saveData) idle(() => loadModel().catch(() => {})); // then the server goes on
}

const arrived = (css) => new Promise((done) => {
  const look = () => (find(css) ? done(find(css)) : requestAnimationFrame(look));
  look();
});

// `given` says where the files are (`model`, `runtime`, `brands`), who takes reviews (`api`, null for nobody) and scores until the
// model is here (`read`, empty for nobody), how many characters the model reads (`reads`) and a review may have (`limit`), and which
// `languages` the model knows. Without `model` the server scores all along.
export async function start(given) {
  places = given;
  [area, slider, submit, another, notice] = await Promise.all(
    ["#review textarea", "#rating input[type=range]", "#submit", "#another", "#notice p"].map(arrived),
  );
  await Promise.all(["#stars input", "#count .number", "#brand .brand", "#reading .tone"].map(arrived));
  stars = [...document.querySelectorAll("#stars input")];
  layer = find("#review .tints") ?? make("div", { className: "tints" });
  layer.setAttribute("aria-hidden", "true");
  area.before(layer);
  area.dir = layer.dir = "auto";
  const draft = takeDraft();
  listen();
  submit.hidden = places.api === null;
  if (!isBlank(area.value)) typed(); // typed before the script was there
  else refresh();
  try {
    page.brands = places.brands ? await brandsOf(places.brands) : [];
    another.hidden = !page.brands.length;
    openDraft(draft);
    if (places.model && places.read) loadLater();
    else if (places.model) await loadModel();
  } catch (e) {
    page.failed = true;
    showReading("none", 0, "");
    say("error", e.message);
    refresh();
  }
}

const own = find("#places"); // a page of files has it
if (own) start(JSON.parse(own.textContent));
