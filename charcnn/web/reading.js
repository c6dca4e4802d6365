// What a page makes of scores: the newest text wins, whole words are tinted, and a person hears where the model stops reading.
// Nothing here touches a page, so that all of it can be tried alone.

// ---- asking

// Has texts scored one at a time; what is typed meanwhile is next. An answer is shown while the text it belongs to is still being
// written: once that was cleared or replaced, it is dropped.
export class Newest {
  // `score` is given a text and answers with its score; `show` is given both; `fail` what `score` throws
  constructor(score, show, fail) {
    Object.assign(this, { score, show, fail, text: "", busy: false });
  }

  async read(text) {
    this.text = text;
    if (this.busy) return;
    this.busy = true;
    for (let asked = null; this.text && asked !== this.text; ) {
      asked = this.text;
      try {
        const score = await this.score(asked);
        if (isGoingOn(asked, this.text)) this.show(asked, score);
      } catch (e) {
        if (asked === this.text) this.fail(e);
      }
    }
    this.busy = false;
  }
}

const isGoingOn = (then, now) => now !== "" && (now.startsWith(then) || then.startsWith(now));

// ---- tints: contributions are pairs of a character and its share; weights are steps of colour from -9 (bad) to 9 (good)

// The sum of the shares, in logits, at which a word's tint reaches three quarters of its strength.
const TINT_SCALE = 0.35;
const BLANK = /\s/u;

// Where words begin and end: `visit(start, end)` for each.
function eachWord(characters, visit) {
  for (let start = 0, end; start < characters.length; start = end) {
    for (end = start + 1; end < characters.length && !BLANK.test(characters[start]) && !BLANK.test(characters[end]); ) end++;
    if (!BLANK.test(characters[start])) visit(start, end);
  }
}

// The weight of each character: that of its word, whose shares are summed.
export function wordWeights(contributions) {
  const weights = new Array(contributions.length).fill(0);
  eachWord(contributions.map(([character]) => character), (start, end) => {
    let total = 0;
    for (let i = start; i < end; i++) total += contributions[i][1];
    weights.fill(Math.round(9 * Math.tanh(total / TINT_SCALE)), start, end);
  });
  return weights;
}

// The weights of a text that has changed since it was scored: what stayed the same at both ends keeps its own, and a word has one
// weight, the strongest of its characters.
export function alignedWeights(now, then, weights) {
  let start = 0, end = 0;
  while (start < now.length && start < then.length && now[start] === then[start]) start++;
  const most = Math.min(now.length, then.length) - start;
  while (end < most && now[now.length - 1 - end] === then[then.length - 1 - end]) end++;
  const changed = new Array(now.length - start - end).fill(0);
  const found = [...weights.slice(0, start), ...changed, ...weights.slice(weights.length - end, weights.length)];
  eachWord(now, (from, to) => {
    const strongest = found.slice(from, to).reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    found.fill(strongest, from, to);
  });
  return found;
}

// A text cut where the weight changes and where the model stops reading: `{ text, weight, unread }` for each piece.
export function pieces(characters, weights, reads) {
  const found = [];
  for (let i = 0, next; i < characters.length; i = next) {
    const stop = i < reads ? Math.min(reads, characters.length) : characters.length;
    for (next = i + 1; next < stop && (weights[next] ?? 0) === (weights[i] ?? 0); ) next++;
    found.push({ text: characters.slice(i, next).join(""), weight: weights[i] ?? 0, unread: i >= reads });
  }
  return found;
}

// ---- words for a person

const number = (value) => value.toLocaleString("en");

// What there is to say about the length of a text: `reads` characters are read, `limit` can be submitted.
export function lengthHint(length, reads, limit) {
  const over = length - limit;
  if (over > 0) return `${number(over)} ${over === 1 ? "character" : "characters"} too many: shorten your text to submit it.`;
  return length > reads ? `The bar follows the first ${number(reads)} characters.` : "";
}

export const counter = (length, limit) => `${number(length)} / ${number(limit)}`;

// What is said in place of a score of a text that the model cannot read; `languages` are codes like en.
export function readsOnly(languages) {
  const names = new Intl.DisplayNames("en", { type: "language" });
  const known = languages.map((code) => names.of(code)).join(", ");
  return known ? `I read ${known}` : "I cannot read this";
}
