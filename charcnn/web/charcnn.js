// Scores texts in the browser with a model folder: config.json says how text becomes numbers, model.onnx is the network.
//
//   import { load } from "./charcnn.js";
//   const scorer = await load("model/");
//   await scorer.score("Lovely room, rude staff.");  // { label, probabilities, score, rating, contributions }
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

// ---- ratings: the same rules as charcnn/ratings.py

const LABEL_OF_CLASS = { 5: [0, 0, 1, 2, 2], 3: [0, 1, 2], 2: [0, 2] };
const NEUTRAL = { 5: [0.1, 0.2, 0.4, 0.2, 0.1], 3: [0.3, 0.4, 0.3], 2: [0.5, 0.5] };
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

// The median of the ratings; where there are fewer classes than stars, each is spread evenly around its place.
function suggestedRating(probabilities) {
  const most = probabilities.length - 1;
  const below = (border) => sum(probabilities.map((p, place) => p * Math.min(1, Math.max(0, most * border - place + 0.5))));
  return 1 + [0.125, 0.375, 0.625, 0.875].filter((border) => below(border) < 0.5).length;
}

function read(probabilities, labels) {
  const of = LABEL_OF_CLASS[probabilities.length];
  const shares = labels.map((_, label) => sum(probabilities.filter((_, place) => of[place] === label)));
  return {
    label: labels[shares.indexOf(Math.max(...shares))],
    probabilities,
    score: sum(probabilities.map((p, place) => (p * place) / (probabilities.length - 1))),
    rating: suggestedRating(probabilities),
  };
}

// ---- the model

export class Scorer {
  constructor(config, session, ort) {
    Object.assign(this, { config, session, ort, name: config.name ?? "", encoder: config.encoder, last: null });
    this.explains = session.outputNames.includes("contributions");
  }

  // Score one text; a blank one is neutral. Contributions, for models that know them, are pairs of a character and
  // what it adds to the margin between good and bad; `explain: false` leaves them out, which saves a third of the time.
  async score(text, { explain = true } = {}) {
    if (typeof text !== "string") throw new ModelError(`text is ${text === null ? "null" : typeof text}, not a string`);
    const { ids, characters, places } = this.encoder.encode(text);
    const wanted = explain && this.explains;
    const pairs = () => characters.map((character) => [character, 0]);
    if (!ids.length || isBlank(text)) {
      const neutral = { label: "average", probabilities: NEUTRAL[this.config.classes], score: 0.5, rating: 3 };
      return wanted ? { ...neutral, contributions: pairs() } : neutral;
    }
    const outputs = await this.run(ids, wanted);
    const found = read(Array.from(outputs.probabilities.data), this.config.labels);
    if (!wanted) return found;
    const contributions = pairs();
    places.forEach((place, i) => (contributions[place][1] = outputs.contributions.data[i]));
    return { ...found, contributions };
  }

  // The runtime computes one text at a time.
  run(ids, explain) {
    const { Tensor } = this.ort;
    const feeds = { ids: new Tensor("int32", ids, [1, ids.length]) };
    if (this.session.inputNames.includes("explain")) feeds.explain = new Tensor("bool", [explain], []);
    const outputs = explain ? ["probabilities", "contributions"] : ["probabilities"];
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

// ---- loading

const folderUrl = (folder) => new URL(`${folder}`.replace(/\/*$/, "/"), globalThis.location.href);

// The bytes of a file. With a cache the file is fetched once and kept in the browser.
async function fetchBytes(url, cache) {
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
    throw new ModelError(`${url} cannot be loaded: ${e.message}`);
  }
}

function checkConfig(config) {
  if (config === null || typeof config !== "object") throw new ModelError("it holds no object");
  const encoder = new Encoder(config.encoder);
  if (!Object.hasOwn(LABEL_OF_CLASS, config.classes)) {
    throw new ModelError(`classes is ${config.classes}; a model predicts 5 ratings, 3 labels, or bad and good`);
  }
  return { ...config, encoder };
}

async function readConfig(url, cache) {
  const bytes = await fetchBytes(url, cache);
  try {
    return checkConfig(JSON.parse(new TextDecoder().decode(bytes)));
  } catch (e) {
    throw new ModelError(`${url} cannot be used: ${e.message}; export the model again with charcnn export`);
  }
}

async function startRuntime(folder, cache) {
  if (typeof globalThis.WebAssembly?.instantiate !== "function") {
    throw new ModelError("this browser runs no WebAssembly, which the model needs; allow it or use another browser");
  }
  const wasm = fetchBytes(new URL("ort-wasm-simd-threaded.wasm.gz", folder), cache);
  const script = new URL("ort.wasm.bundle.min.mjs", folder);
  const [binary, ort] = await Promise.all([
    wasm,
    import(script).catch((e) => { throw new ModelError(`${script} cannot be loaded: ${e.message}`); }),
  ]);
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: binary });
  ort.env.logLevel = "error";
  return ort;
}

// Load a model folder. `runtime` is the folder of ONNX Runtime Web. `keep` holds the files in the browser's cache, also
// across visits: the names of both folders must then change with what is in them.
export async function load(folder, { runtime = new URL("runtime/", import.meta.url), keep = false } = {}) {
  const [model, engine] = [folderUrl(folder), folderUrl(runtime)];
  const name = `charcnn ${new URL(".", globalThis.location.href).pathname}`;
  const cache = keep && globalThis.caches ? await caches.open(name).catch(() => undefined) : undefined;
  const graph = new URL("model.onnx", model);
  const [config, bytes, ort] = await Promise.all([
    readConfig(new URL("config.json", model), cache), fetchBytes(graph, cache), startRuntime(engine, cache),
  ]);
  let session;
  try {
    session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  } catch (e) {
    throw new ModelError(`${graph} cannot be loaded: ${e.message}`);
  }
  if (!session.outputNames.includes("probabilities")) throw new ModelError(`${graph} has no output probabilities`);
  await forgetOthers(cache, [model, engine]);
  return new Scorer(config, session, ort);
}

async function forgetOthers(cache, folders) {
  const kept = (await cache?.keys()) ?? [];
  const old = kept.filter(({ url }) => !folders.some((folder) => url.startsWith(folder)));
  await Promise.all(old.map((request) => cache.delete(request)));
}
