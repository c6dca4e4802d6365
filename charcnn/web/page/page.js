// The page of `charcnn export-page`. What is typed is scored here; only textContent ever receives it.

import { fetchBytes, isBlank, load } from "./charcnn.js";

const places = JSON.parse(document.querySelector("#places").textContent); // where the files are, and the API
const find = (css) => document.querySelector(css);
const [area, layer, slider] = [find("#review textarea"), find("#review .tints"), find("#rating input")];
const [submit, another, notice] = [find("#submit"), find("#another"), find("#notice p")];
const page = { scorer: null, failed: false, byHand: false, busy: false, sending: false, brand: null, brands: [] };
page.shown = { text: "", weights: [] };

function say(kind, message) {
  notice.className = kind;
  notice.textContent = message;
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
  find("#brand").replaceChildren(make("div", { className: "brand" }, link, question));
}

function nextBrand() {
  const others = page.brands.filter((brand) => brand !== page.brand);
  if (others.length) showBrand(others[Math.floor(Math.random() * others.length)]);
}

function startAnew() {
  nextBrand();
  area.value = "";
  page.byHand = false;
  showIdle();
  refresh();
}

// ---- the score

const tone = (percent) => (percent <= 33 ? "bad" : percent < 67 ? "average" : "good");

function showReading(kind, percent, shown) {
  find("#reading > div").className = `tone-${kind}`;
  find("#reading .percent").textContent = shown;
  find("#reading .fill").style.width = `${percent}%`;
  const bar = find("#reading .bar");
  bar.setAttribute("aria-valuenow", percent);
  bar.setAttribute("aria-valuetext", kind === "none" ? "no score" : `${percent} percent, ${kind}`);
}

function showIdle() {
  page.shown = { text: "", weights: [] };
  showReading("none", 0, "");
  slider.value = 3;
}

function showScore(text, score) {
  const percent = Math.round(100 * score.score);
  // The contribution, in logits, at which a tint reaches three quarters of its strength, is 0.1.
  const weights = (score.contributions ?? []).map(([, share]) => Math.round(9 * Math.tanh(share / 0.1)));
  page.shown = { text: (score.contributions ?? []).map(([character]) => character).join(""), weights };
  showReading(tone(percent), percent, `${percent} %`);
  if (!page.byHand) slider.value = score.rating;
}

// Scores the newest text; what is typed while the model computes is scored next.
async function read() {
  if (page.busy || !page.scorer) return;
  page.busy = true;
  try {
    for (let text = null; text !== area.value; ) {
      text = area.value;
      const score = await page.scorer.score(text);
      if (text !== area.value) continue;
      if (isBlank(text)) showIdle();
      else showScore(text, score);
    }
  } catch (e) {
    say("error", e.message);
  }
  page.busy = false;
  refresh();
}

// ---- what follows the text: tints, stars, Submit

// The weights of what stayed the same at both ends are kept until the new text is scored.
function alignedWeights(now, then, weights) {
  let start = 0;
  while (start < now.length && start < then.length && now[start] === then[start]) start++;
  let end = 0;
  const most = Math.min(now.length, then.length) - start;
  while (end < most && now[now.length - 1 - end] === then[then.length - 1 - end]) end++;
  const changed = new Array(now.length - start - end).fill(0);
  return [...weights.slice(0, start), ...changed, ...weights.slice(weights.length - end, weights.length)];
}

function paint() {
  const now = Array.from(area.value);
  const weights = alignedWeights(now, Array.from(page.shown.text), page.shown.weights);
  const spans = [];
  for (let i = 0, next; i < now.length; i = next) {
    for (next = i + 1; next < now.length && weights[next] === weights[i]; ) next++;
    const span = make("span", { textContent: now.slice(i, next).join("") });
    const strength = Math.abs(weights[i]) / 9;
    if (strength) {
      const hue = weights[i] > 0 ? "good" : "bad";
      span.style.backgroundColor = `rgba(var(--tint-${hue}), ${(0.38 * strength).toFixed(3)})`;
    }
    spans.push(span);
  }
  layer.replaceChildren(...spans, "\n"); // a final line break takes room only if something follows it
  layer.scrollTop = area.scrollTop;
}

function refresh() {
  paint();
  const blank = isBlank(area.value);
  slider.style.setProperty("--filled", `${25 * (slider.value - 1)}%`);
  const stars = document.querySelectorAll("#stars .glyphs b");
  stars.forEach((star, i) => star.classList.toggle("on", !blank && i < Number(slider.value)));
  find("#stars .hint").textContent = blank ? "follows your text" : page.byHand ? "set by you" : "suggested from your text";
  submit.disabled = blank || page.sending || !(page.scorer || page.byHand);
  if (!blank && !page.scorer && !page.failed) showReading("none", 0, "loading the model ...");
}

area.addEventListener("scroll", () => (layer.scrollTop = area.scrollTop));
area.addEventListener("input", () => {
  if (isBlank(area.value)) {
    page.byHand = false;
    showIdle();
  }
  if (!page.failed) notice.classList.add("old");
  refresh();
  read();
});
slider.addEventListener("input", () => {
  page.byHand = true;
  refresh();
});
another.addEventListener("click", () => {
  if (!page.failed) say("", "");
  startAnew();
});

// ---- Submit, for pages with an API

async function send() {
  const [brand, review, rating] = [page.brand.name, area.value, Number(slider.value)];
  let answer, reason;
  try {
    const body = JSON.stringify({ brand, review, rating });
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

submit.addEventListener("click", async () => {
  page.sending = true;
  refresh();
  await send();
  page.sending = false;
  refresh();
});

// ---- start

submit.hidden = !places.api;

async function start() {
  page.brands = JSON.parse(new TextDecoder().decode(await fetchBytes(new URL(places.brands, location.href))));
  another.hidden = !page.brands.length;
  nextBrand();
  refresh(); // something may have been typed already
  page.scorer = await load(places.model, { runtime: places.runtime, keep: places.keep });
}

start().then(read, (e) => {
  page.failed = true;
  showReading("none", 0, "");
  say("error", e.message);
});
