// Numbers: how they arrive, how they are searched, how they are written.
const ARRAYS = { f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };
const PACKED = {
  bars: { time: "u4", ohlc: "f4" },
  map: { start: "f4", time: "u4", oi: "f4", levels: "u1" },
  curve: { candle: "i4", equity: "f4", drawdown: "f4", exposure: "f4", coverage: "f4", sold: "f4", bought: "f4", blind_placement: "f4", blind_selection: "f4" },
  zones: { from: "f4", known: "f4", to: "f4", low: "f4", high: "f4", peak: "f4", mass: "f4", fuel: "f4", swept: "f4", side: "f4" },
  voids: { from: "f4", to: "f4", low: "f4", high: "f4" },
  channels: { from: "f4", to: "f4", upper_from: "f4", upper_to: "f4", lower_from: "f4", lower_to: "f4" },
  marks: { candle: "f4", price: "f4", kind: "u1", aligned: "u1" },
  trades: {
    side: "f4", entry_price: "f4", stop: "f4", target: "f4", exit_price: "f4", net: "f4", r: "f4", mae_r: "f4", mfe_r: "f4",
    bars_held: "u4", ambiguous: "u1", exit_reason: "u1", entry_time: "u4", exit_time: "u4", entry_candle: "f4", exit_candle: "f4",
    row: "u4",
  },
};

async function unpack(text, type) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new ARRAYS[type](await new Response(stream).arrayBuffer());
}

// A scene is what one window of bars shows: the payload with its arrays unpacked. Horizontal positions are logical:
// candle i lies at i and covers i - 0.5 to i + 0.5. `now` candles of it are known; the rest has not happened yet.
async function readScene(payload) {
  const scene = { ...payload };
  for (const [part, columns] of Object.entries(PACKED)) {
    if (!payload[part]) continue;
    scene[part] = { ...payload[part] };
    await Promise.all(
      Object.entries(columns).filter(([name]) => name in payload[part]).map(async ([name, type]) => { scene[part][name] = await unpack(payload[part][name], type); }),
    );
  }
  if (scene.map) {
    const { levels, rows } = scene.map, cells = scene.layers.length * rows; // sent as differences along time, modulo 256
    for (let k = cells; k < levels.length; k++) levels[k] += levels[k - cells];
  }
  scene.count = scene.bars.count;
  scene.now = scene.count;
  return scene;
}

// The first index from which `test` holds, in a sequence where it fails and then holds.
function firstWhere(length, test) {
  let low = 0, high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (test(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

// A formatter takes longer to make than a hundred numbers to write, and axes write them in every frame.
const FIXED = new Map();
function fixed(digits) {
  if (!FIXED.has(digits)) FIXED.set(digits, new Intl.NumberFormat("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
  return FIXED.get(digits);
}
const [SHORT, COMPACT] = ["standard", "compact"].map((notation) => new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 3, notation }));
const number = (value, digits) => (value === null || Number.isNaN(value) ? "–" : fixed(digits).format(value).replace(/^-(?=[0.,]*$)/, "").replace("-", "−"));
const signed = (value, digits) => (value > 0 ? "+" : "") + number(value, digits);
const short = (value) => (value >= 1e5 ? COMPACT : SHORT).format(value);
const share = (value) => `${Number((100 * value).toPrecision(2))}%`;
const stamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");
function duration(seconds) {
  if (seconds >= 172800) return `${number(seconds / 86400, 1)} days`;
  return seconds >= 7200 ? `${number(seconds / 3600, 1)} h` : `${number(seconds / 60, 0)} min`;
}
