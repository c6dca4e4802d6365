// Runs once beside the reading of the model. Gradio gives `element`, `props` and `watch` of that component.
// Only textContent ever receives what a person typed, never markup or a template.

const page = (window.charcnn = { byHand: false });
const textarea = () => document.querySelector("#review textarea");
const typedText = () => textarea()?.value ?? "";
const IDLE = { tone: "none", percent: 0, shown: "", rating: 0, text: "", weights: [] }; // as the server has it
const isBlank = (text) => !text || !text.trim();

// ---- tints: a copy of the text lies behind the text area, transparent but for its background

function tints() {
  const area = textarea();
  let layer = area.parentElement.querySelector(".tints");
  if (!layer) {
    layer = document.createElement("div");
    layer.className = "tints";
    layer.setAttribute("aria-hidden", "true");
    area.parentElement.insertBefore(layer, area);
    area.addEventListener("scroll", () => (layer.scrollTop = area.scrollTop));
  }
  return layer;
}

// While an answer is on its way the text has already changed: the weights of what stayed the same at both ends are kept.
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
  if (!textarea()) return;
  const now = Array.from(typedText());
  const weights = alignedWeights(now, Array.from(props.value?.text ?? ""), props.value?.weights ?? []);
  const spans = [];
  for (let i = 0; i < now.length; ) {
    let next = i + 1;
    while (next < now.length && weights[next] === weights[i]) next++;
    const span = document.createElement("span");
    span.textContent = now.slice(i, next).join("");
    const strength = Math.abs(weights[i]) / 9;
    if (strength) {
      span.style.backgroundColor = `rgba(var(--tint-${weights[i] > 0 ? "good" : "bad"}), ${(0.38 * strength).toFixed(3)})`;
    }
    spans.push(span);
    i = next;
  }
  const layer = tints();
  layer.replaceChildren(...spans, "\n"); // a final line break takes room only if something follows it
  layer.scrollTop = textarea().scrollTop;
}

// ---- the rating follows the model until a person moves it, and again once the text is cleared

document.addEventListener("input", (event) => {
  if (event.target.closest("#rating")) page.byHand = true;
  if (event.target === textarea()) {
    if (isBlank(typedText())) page.byHand = false;
    document.querySelector("#notice p")?.classList.add("old");
    paint();
  }
  showStars();
}, true);

function showStars(rating = Number(document.querySelector("#rating input[type=range]")?.value)) {
  document.querySelectorAll("#stars .glyphs b").forEach((star, i) => star.classList.toggle("on", !isBlank(typedText()) && i < rating));
  const hint = isBlank(typedText()) ? "follows your text" : page.byHand ? "set by you" : "suggested from your text";
  const place = document.querySelector("#stars .hint");
  if (place) place.textContent = hint;
}

// ---- called by the page's events

page.suggest = (reading) => {
  if (isBlank(typedText())) return 3;
  return page.byHand || !reading?.rating ? undefined : reading.rating;
};
page.typed = (text) => {
  if (isBlank(text)) page.byHand = false;
  paint();
  showStars();
  return [{ __type__: "update", interactive: !isBlank(text) }, ...(isBlank(text) ? [3, IDLE] : [undefined, undefined])];
};
page.rated = (rating) => showStars(rating);

watch("value", () => {
  // The answer to a text that has been cleared meanwhile says nothing about what is there now.
  if (props.value?.shown && isBlank(typedText())) props.value = IDLE;
  paint();
});
