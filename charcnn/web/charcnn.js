// Scores texts in the browser with a model folder: config.json says how text becomes numbers, model.onnx is the network.
//
//   import { load } from "./charcnn.js";
//   const scorer = await load("model/");
//   await scorer.score("Lovely room, rude staff.");  // { label, probabilities, score, rating, contributions, known, foreign }
//
// The numbers are those of charcnn.Scorer in Python to 1e-5. Everything that fails rejects its promise with a
// ModelError that says in one line what is wrong and where. Nothing is loaded but the model folder and the runtime.

export class ModelError extends Error {}

// ---- text: the same rules as charcnn/text.py, which is where they are explained

const UNKNOWN = 1;
const TYPOGRAPHIC = new Map(Object.entries({
  "‘": "'", "’": "'", "‚": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‐": "-", "‑": "-",
  "‒": "-", "–": "-", "—": "-", "−": "-", "…": ".", "•": "*", "×": "x", "⁄": "/",
}));
const FOLDED_BLOCKS = [
  [0x00, 0x250], [0x1e00, 0x1f00], [0x2000, 0x2300], [0x2460, 0x2500], [0x3000, 0x3001], [0xff00, 0xff60],
  [0x1d400, 0x1d800], [0x1f130, 0x1f18a],
];
// Python's idea of a blank and of a word character; JavaScript's \s and \w are others.
const BLANK = "\\t-\\r\\x1c- \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const WORD = "\\p{L}\\p{N}_";
const BLANKS_ONLY = new RegExp(`^[${BLANK}]*$`);

// Whether a text holds nothing to read.
export const isBlank = (text) => BLANKS_ONLY.test(text);

const first = (text) => String.fromCodePoint(text.codePointAt(0));

function plain(character) {
  return isBlank(character) ? " " : TYPOGRAPHIC.get(character) ?? first(character.normalize("NFKD"));
}

const STEPS = {
  lower: (text) => text.toLowerCase(),
  // without the flag i, which makes more than letters match \p{L}
  remove_urls: (text) =>
    text.replace(new RegExp(`(?<![${WORD}])(?:[hH][tT]{2}[pP][sSſ]?://|[wW]{3}\\.)[^${BLANK}]+`, "gu"), ""),
  remove_hashtags: (text) => text.replace(new RegExp(`(?<![${WORD}])#[${WORD}]+`, "gu"), ""),
  remove_user_mentions: (text) => text.replace(new RegExp(`(?<![${WORD}])@[${WORD}]+`, "gu"), ""),
  normalize: (text) => Array.from(text, (c) => TYPOGRAPHIC.get(c) ?? c).join("").normalize("NFKC"),
  fold_accents: (text) => text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").normalize("NFC"),
};

// Apply preprocessing steps to a text, by their names.
export function preprocess(text, steps) {
  const odd = steps.find((name) => !Object.hasOwn(STEPS, name));
  if (odd !== undefined) throw new ModelError(`preprocessing step ${odd} is not one of ${Object.keys(STEPS).join(", ")}`);
  return steps.reduce((made, step) => STEPS[step](made), text);
}

function refuseUnknownKeys(given, known, where) {
  if (given === null || typeof given !== "object") throw new ModelError(`${where} is missing`);
  const odd = Object.keys(given).find((key) => !known.includes(key)) ?? null;
  if (odd !== null) throw new ModelError(`${where} has a key that this charcnn.js does not know: ${odd}`);
  const missing = known.find((key) => given[key] === undefined);
  if (missing) throw new ModelError(`${where} has no key ${missing}`);
}

export class Encoder {
  // `config` is what config.json holds under "encoder"
  constructor(config) {
    refuseUnknownKeys(config, ["alphabet", "max_length", "reverse", "steps"], "encoder");
    refuseUnknownKeys(config.alphabet, ["characters", "lower", "fold", "unknown"], "encoder.alphabet");
    const { characters, lower, fold, unknown } = config.alphabet;
    if (typeof characters !== "string" || !characters) throw new ModelError("encoder.alphabet.characters is empty");
    if (!["id", "drop"].includes(unknown)) throw new ModelError(`encoder.alphabet.unknown is ${unknown}, not id or drop`);
    if (!(Number.isInteger(config.max_length) && config.max_length > 0)) {
      throw new ModelError(`encoder.max_length is ${config.max_length}, not a whole number above 0`);
    }
    if (!Array.isArray(config.steps)) throw new ModelError("encoder.steps is no list of preprocessing steps");
    preprocess("", config.steps);
    Object.assign(this, { lower, fold, drop: unknown === "drop", length: config.max_length, reverse: config.reverse });
    this.steps = config.steps;
    this.known = new Map(Array.from(characters, (character, place) => [character, place + 2]));
    this.found = new Map(this.known); // every character asked for once
    for (const [character, id] of this.known) {
      const capital = character.toUpperCase();
      if (lower && Array.from(capital).length === 1 && this.id(capital) === UNKNOWN) this.found.set(capital, id);
    }
  }

  // The id of a character.
  id(character) {
    let id = this.found.get(character);
    if (id === undefined) this.found.set(character, (id = this.known.get(this.folded(character)) ?? UNKNOWN));
    return id;
  }

  folded(character) {
    const point = character.codePointAt(0);
    if (!FOLDED_BLOCKS.some(([start, end]) => start <= point && point < end)) return character;
    const plainest = this.fold ? plain(character) : character;
    return this.known.has(plainest) || !this.lower ? plainest : first(plainest.toLowerCase());
  }

  // The ids of a text, its characters behind the preprocessing steps, and the place of each id among them.
  encode(text) {
    const characters = Array.from(preprocess(text, this.steps));
    const ids = [], places = [], last = characters.length - 1;
    for (let i = 0; i <= last && ids.length < this.length; i++) {
      const place = this.reverse ? last - i : i;
      const id = this.id(characters[place]);
      if (id !== UNKNOWN || !this.drop) ids.push(id), places.push(place);
    }
    return { ids: Int32Array.from(ids), characters, places };
  }
}

// ---- labels: the same rules as charcnn/labels.py

// Ratings have an order, a score and a suggested rating: five stars, which are reported as three labels, or fewer classes.
const RATINGS = { 5: ["1", "2", "3", "4", "5"], 3: ["bad", "average", "good"], 2: ["bad", "good"] };
const LABEL_OF_STARS = [0, 0, 1, 2, 2];
const STARS_OF_LABEL = { 3: [[1, 2], [3, 3], [4, 5]], 2: [[1, 3], [3, 5]] }; // the fewest and the most
const NEUTRAL = { 5: [0.1, 0.2, 0.4, 0.2, 0.1], 3: [0.3, 0.4, 0.3], 2: [0.5, 0.5] };
const within = (number, low, high) => Math.min(high, Math.max(low, number));
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

export class Labels {
  // `config` is config.json; before 0.15 a model predicted ratings, and said how many classes it has
  constructor(config) {
    const told = Array.isArray(config.labels) ? { classes: RATINGS[config.classes], ratings: true } : config.labels;
    if (Array.isArray(config.labels) && !told.classes) {
      throw new ModelError(`classes is ${config.classes}; ratings have 5, 3 (bad, average, good) or 2 (bad, good)`);
    }
    refuseUnknownKeys(told, ["classes", "ratings"], "labels");
    const { classes, ratings } = told;
    if (!Array.isArray(classes) || classes.length < 2 || classes.some((name) => typeof name !== "string")) {
      throw new ModelError("labels.classes is no list of two or more names");
    }
    if (ratings && `${classes}` !== `${RATINGS[classes.length]}`) {
      throw new ModelError(`labels ${classes.slice(0, 5)} are no ratings: 1-5, bad, average and good, or bad and good`);
    }
    const grouped = ratings && classes.length === 5;
    Object.assign(this, { classes, areRatings: Boolean(ratings), names: grouped ? RATINGS[3] : classes });
    this.ofClass = grouped ? LABEL_OF_STARS : classes.map((_, place) => place);
  }

  read(probabilities) {
    const shares = this.names.map(() => 0);
    probabilities.forEach((probability, place) => (shares[this.ofClass[place]] += probability));
    const place = shares.indexOf(Math.max(...shares)), label = this.names[place], count = this.names.length;
    if (!this.areRatings) return { label, probabilities };
    // Score and rating stay within the label: its part of the scale, in whole percents, and its stars.
    const expected = sum(probabilities.map((p, place) => (p * place) / (probabilities.length - 1)));
    const score = within(expected, Math.ceil((100 * place) / count) / 100, Math.floor((100 * (place + 1)) / count) / 100);
    const [fewest, most] = STARS_OF_LABEL[count][place];
    return { label, probabilities, score, rating: within(median(probabilities), fewest, most) };
  }

  // What is said of a text without any content.
  neutral() {
    const count = this.classes.length;
    if (!this.areRatings) return { label: null, probabilities: this.classes.map(() => 1 / count) };
    return { label: "average", probabilities: NEUTRAL[count], score: 0.5, rating: 3 };
  }
}

// The median of the ratings; where there are fewer classes than stars, each is spread evenly around its place.
function median(probabilities) {
  const most = probabilities.length - 1;
  const share = (place, border) => Math.min(1, Math.max(0, most * border - place + 0.5));
  const below = (border) => sum(probabilities.map((p, place) => p * share(place, border)));
  return 1 + [0.125, 0.375, 0.625, 0.875].filter((border) => below(border) < 0.5).length;
}

// ---- the model

export class Scorer {
  constructor(config, session, ort) {
    Object.assign(this, { config, session, ort, name: config.name ?? "", last: null });
    Object.assign(this, { encoder: config.encoder, labels: config.labels });
    this.explains = session.outputNames.includes("contributions");
  }

  // Score one text; a blank one is neutral. Contributions, for models that know them, are pairs of a character and
  // what it adds to the margin between good and bad, or for the label; `known` is the share of the text's n-grams that the
  // model knows, if it says so, and `foreign` whether the text is in a script or a language that it was not trained on;
  // `explain: false` leaves all three out and is faster. Score and rating are there where labels are ratings.
  async score(text, { explain = true } = {}) {
    if (typeof text !== "string") throw new ModelError(`text is ${text === null ? "null" : typeof text}, not a string`);
    const { ids, characters, places } = this.encoder.encode(text);
    const blank = !ids.length || isBlank(text);
    const outputs = blank ? {} : await this.run(ids, explain);
    const found = blank ? this.labels.neutral() : this.labels.read(Array.from(outputs.probabilities.data));
    if (!explain) return found;
    const known = outputs.known?.data[0];
    found.foreign = isForeign(this, characters, blank ? 0 : ids.length, known);
    if (known !== undefined) found.known = known;
    if (!this.explains) return found;
    found.contributions = characters.map((character) => [character, 0]);
    if (!blank) places.forEach((place, i) => (found.contributions[place][1] = outputs.contributions.data[i]));
    return found;
  }

  // The runtime computes one text at a time.
  run(ids, explain) {
    const { Tensor } = this.ort;
    const feeds = { ids: new Tensor("int32", ids, [1, ids.length]) };
    if (this.session.inputNames.includes("explain")) feeds.explain = new Tensor("bool", [explain], []);
    const { outputNames } = this.session;
    const outputs = explain ? outputNames : ["probabilities"];
    const run = async () => {
      try {
        return await this.session.run(feeds, outputs);
      } catch (e) {
        throw new ModelError(`the model could not be computed: ${e.message}`);
      }
    };
    return (this.last = (this.last ?? Promise.resolve()).then(run, run));
  }
}

// Most letters are none that the model knows, or too few n-grams are; four of them are what chance is allowed.
function isForeign({ encoder, config }, characters, length, known) {
  const seen = encoder.reverse ? characters.slice(-encoder.length) : characters.slice(0, encoder.length);
  const letters = seen.filter((character) => /\p{L}/u.test(character));
  const outside = letters.filter((letter) => encoder.id(letter) === UNKNOWN).length;
  if (outside >= 2 && 2 * outside > letters.length) return true;
  return length >= 24 && known + 4 / length < (config.least_known ?? 0);
}

// ---- loading

// Where the files of a folder are: in it, or each at an address of its own.
function locate(folder) {
  if (typeof folder !== "string" && !(folder instanceof URL)) return (name) => new URL(folder[name], location.href);
  const base = new URL(`${folder}`.replace(/\/*$/, "/"), location.href);
  return (name) => new URL(name, base);
}

const shown = (url) => (url.protocol === "data:" ? "a file in this page" : url.href);

// The bytes of a file, unpacked if it is compressed by gzip. With a cache the file is fetched once and kept in the browser.
export async function fetchBytes(url, cache) {
  try {
    let answer = await cache?.match(url);
    if (!answer) {
      answer = await fetch(url);
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`.trim());
      await cache?.put(url, answer.clone()).catch(() => {}); // no room left: fetched again next time
    }
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes; // not compressed, or unpacked by a server that knows .gz
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(unpacked).arrayBuffer());
  } catch (e) {
    throw new ModelError(`${shown(url)} cannot be loaded: ${e.message}`);
  }
}

function checkConfig(config) {
  if (config === null || typeof config !== "object") throw new ModelError("it holds no object");
  const encoder = new Encoder(config.encoder);
  return { ...config, encoder, labels: new Labels(config) };
}

async function readConfig(url, cache) {
  const bytes = await fetchBytes(url, cache);
  try {
    return checkConfig(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (e) {
    throw new ModelError(`${shown(url)} cannot be used: ${e.message}; export the model again with charcnn export`);
  }
}

async function startRuntime(file, cache) {
  if (typeof globalThis.WebAssembly?.instantiate !== "function") {
    throw new ModelError("this browser runs no WebAssembly, which the model needs; allow it or use another browser");
  }
  const wasm = fetchBytes(file("ort-wasm-simd-threaded.wasm.gz"), cache);
  const script = file("ort.wasm.bundle.min.mjs");
  const [binary, ort] = await Promise.all([
    wasm,
    import(script).catch((e) => { throw new ModelError(`${shown(script)} cannot be loaded: ${e.message}`); }),
  ]);
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: binary });
  ort.env.logLevel = "error";
  return ort;
}

// Load a model folder. `runtime` is the folder of ONNX Runtime Web; either may be an object that has an address for each of
// its files. `keep` holds the files in the browser's cache, also across visits: the names of both folders must then change
// with what is in them.
export async function load(folder, { runtime = new URL("runtime/", import.meta.url), keep = false } = {}) {
  const [model, engine] = [locate(folder), locate(runtime)];
  const name = `charcnn ${new URL(".", location.href).pathname}`;
  const cache = keep && globalThis.caches ? await caches.open(name).catch(() => undefined) : undefined;
  const [config, graph, ort] = await Promise.all([
    readConfig(model("config.json"), cache), fetchBytes(model("model.onnx"), cache), startRuntime(engine, cache),
  ]);
  const session = await ort.InferenceSession.create(graph, { executionProviders: ["wasm"] }).catch((e) => {
    throw new ModelError(`${shown(model("model.onnx"))} cannot be loaded: ${e.message}`);
  });
  if (!session.outputNames.includes("probabilities")) {
    throw new ModelError(`${shown(model("model.onnx"))} has no output probabilities; export the model again`);
  }
  if (cache) await forgetOthers(cache, [model("."), engine(".")]);
  return new Scorer(config, session, ort);
}

async function forgetOthers(cache, folders) {
  const old = (await cache.keys()).filter(({ url }) => !folders.some((folder) => url.startsWith(folder)));
  await Promise.all(old.map((request) => cache.delete(request)));
}
