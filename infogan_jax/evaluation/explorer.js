"use strict";

// ---- The generator -----------------------------------------------------------------------------------------

// All 65,536 half-precision numbers, to look them up: browsers are only beginning to have a type for them.
function halfTable() {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    table[bits] = sign * (exponent === 31 ? (fraction ? NaN : Infinity)
      : exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : (fraction / 1024) * 2 ** -14);
  }
  return table;
}

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// The rows of the network with their weights: of each row the kernel in half precision, in units of the row's
// `scale`, then the bias.
function readRows(rows, base64) {
  const bytes = bytesOf(base64), halves = halfTable();
  const numbers = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
  let at = 0;
  const take = (count, scale) => {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = halves[numbers[at + i]] * scale;
    at += count;
    return values;
  };
  return rows.map((row) => ({
    ...row,
    kernel: take(row.kernelSize, row.kernelScale),
    bias: take(row.biasSize, row.biasScale),
  }));
}

const activations = {
  relu: (x) => (x > 0 ? x : 0),
  lrelu: (x) => (x > 0 ? x : 0.1 * x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  linear: (x) => x,
};

// A row of the network on one example: activation(kernel * x + bias). Images are [height, width, channels].
function applyRow(row, x, shape) {
  const map = row.kind === "dense" ? dense : spread;
  const { values, shape: made } = map(row, x, shape);
  const activation = activations[row.activation];
  for (let i = 0; i < values.length; i++) values[i] = activation(values[i]);
  return { values, shape: made };
}

function dense(row, x) {
  const { kernel } = row, values = Float32Array.from(row.bias), outputs = values.length;
  for (let i = 0; i < x.length; i++) {
    const value = x[i];
    if (value === 0) continue; // half of what a relu lets through
    const from = i * outputs;
    for (let o = 0; o < outputs; o++) values[o] += value * kernel[from + o];
  }
  return { values, shape: row.features };
}

// A transposed convolution: each pixel spreads the kernel, from one pixel up and to the left of its block on.
function spread(row, x, [height, width, channels]) {
  const { kernel, bias, stride, size } = row, outputs = bias.length;
  const rows = height * stride, columns = width * stride;
  const values = new Float32Array(rows * columns * outputs);
  for (let i = 0; i < values.length; i += outputs) values.set(bias, i);
  const before = (size - stride) >> 1;
  for (let h = 0; h < height; h++) for (let w = 0; w < width; w++) {
    const pixel = (h * width + w) * channels;
    for (let a = 0; a < size; a++) {
      const y = h * stride + a - before;
      if (y < 0 || y >= rows) continue;
      for (let b = 0; b < size; b++) {
        const across = w * stride + b - before;
        if (across < 0 || across >= columns) continue;
        const to = (y * columns + across) * outputs, from = (a * size + b) * channels;
        for (let c = 0; c < channels; c++) {
          const value = x[pixel + c];
          if (value === 0) continue;
          const k = (from + c) * outputs;
          for (let o = 0; o < outputs; o++) values[to + o] += value * kernel[k + o];
        }
      }
    }
  }
  return { values, shape: [rows, columns, outputs] };
}

function generate(rows, input) {
  let x = { values: input, shape: [input.length] };
  for (const row of rows) x = applyRow(row, x.values, x.shape);
  return x.values;
}

// ---- What goes in: the noise and the codes ------------------------------------------------------------------

// Mulberry32 (Tommy Ettinger, public domain): numbers in [0, 1) from a whole number.
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function noiseOf(prior, count, seed) {
  const next = random(seed);
  return Float32Array.from({ length: count }, () => prior.kind === "uniform"
    ? prior.low + (prior.high - prior.low) * next()
    : prior.mean + prior.std * Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

function inputOf(model, settings) {
  const input = [...noiseOf(model.noise, model.noiseSize, settings.noise)];
  for (const code of model.codes) {
    if (code.kind === "categorical") {
      for (let i = 0; i < code.categories; i++) input.push(i === settings[code.name] ? 1 : 0);
    } else input.push(settings[code.name]);
  }
  return Float32Array.from(input);
}

// ---- The page -----------------------------------------------------------------------------------------------

const model = JSON.parse(document.getElementById("model").textContent);
const rows = readRows(model.rows, document.getElementById("weights").textContent.trim());
document.getElementById("weights").remove();

const continuous = model.codes.filter((code) => code.kind === "continuous");
const byName = Object.fromEntries(model.codes.map((code) => [code.name, code]));
const sides = { a: defaults(), b: defaults() };
let edited = "a";

function defaults() {
  return Object.fromEntries([["noise", 0], ...model.codes.map((code) => [code.name, code.middle])]);
}

const byId = (id) => document.getElementById(id);
const told = (code, value) => code.kind === "continuous" ? value.toFixed(2).replace("-", "−") : String(value);

// A value that a setting can have, nearest to the one that is asked for; null where that is no number.
function allowed(name, text) {
  const value = Number(text);
  if (String(text).trim() === "" || !Number.isFinite(value)) return null;
  if (name === "noise") return Math.min(Math.max(Math.round(value), 0), 4294967295);
  const code = byName[name];
  if (code.kind === "continuous") return Math.min(Math.max(value, code.low), code.high);
  return Math.min(Math.max(Math.round(value), 0), code.categories - 1);
}

function draw(side) {
  const settings = sides[side], canvas = byId(`picture-${side}`);
  const started = performance.now();
  const values = generate(rows, inputOf(model, settings));
  const [height, width, channels] = model.shape, [low, high] = model.range;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    for (let c = 0; c < 3; c++) {
      const value = values[pixel * channels + (channels === 3 ? c : 0)];
      image.data[4 * pixel + c] = Math.round((255 * (value - low)) / (high - low));
    }
    image.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  byId("time").textContent = `${(performance.now() - started).toFixed(0)} ms`;
  const codes = model.codes.map((code) => `${code.name} = ${told(code, settings[code.name])}`);
  canvas.setAttribute("aria-label", `Generated image: ${[...codes, `noise ${settings.noise}`].join(", ")}`);
}

// The controls show the settings of the side that is edited.
function show() {
  const settings = sides[edited];
  byId("noise").value = settings.noise;
  for (const code of model.codes) {
    const value = settings[code.name];
    if (code.kind === "continuous") {
      byId(code.name).value = value;
      byId(`${code.name}-value`).textContent = told(code, value);
    } else byId(`${code.name}-${value}`).checked = true;
  }
  showPad();
}

function compared() { return byId("compare").checked; }

function link() {
  const parts = Object.entries(sides.a).map(([name, value]) => [name, value]);
  if (compared()) parts.push(...Object.entries(sides.b).map(([name, value]) => [`b.${name}`, value]));
  return "#" + parts.map(([name, value]) => `${name}=${Number(value.toFixed(4))}`).join("&");
}

// What the address holds after "#"; what it doesn't name, or names wrongly, stays as it is by default.
function restore() {
  clearTimeout(addressing);
  const given = [...new URLSearchParams(location.hash.slice(1))];
  sides.a = defaults();
  sides.b = defaults();
  for (const [key, text] of given) {
    const side = key.startsWith("b.") ? "b" : "a", name = key.replace(/^b\./, "");
    if (!Object.hasOwn(sides[side], name)) continue;
    const value = allowed(name, text);
    if (value !== null) sides[side][name] = value;
  }
  byId("compare").checked = given.some(([key]) => key.startsWith("b."));
  edited = "a";
  layOut();
}

function layOut() {
  byId("side-b").hidden = byId("sides").hidden = !compared();
  byId(`edit-${edited}`).checked = true;
  show();
  draw("a");
  if (compared()) draw("b");
}

const moved = new Set(); // the sides that are drawn at the next frame
function change(settings) {
  Object.assign(sides[edited], settings);
  show();
  // Of several moves between two frames only the last is drawn.
  if (!moved.size) {
    requestAnimationFrame(() => {
      moved.forEach(draw);
      moved.clear();
    });
  }
  moved.add(edited);
  // Browsers refuse to change an address that often: it follows when the moves have stopped.
  clearTimeout(addressing);
  addressing = setTimeout(address, 250);
}

let addressing = null;
function address() {
  clearTimeout(addressing);
  try {
    history.replaceState(null, "", link());
  } catch {
    // A browser may still refuse it: the picture doesn't depend on it.
  }
}

// The pad: two continuous codes at once.
function padCodes() { return [byName[byId("pad-x").value], byName[byId("pad-y").value]]; }

function showPad() {
  if (!byId("pad")) return;
  const [x, y] = padCodes(), settings = sides[edited], pad = byId("pad");
  const share = (code) => (settings[code.name] - code.low) / (code.high - code.low);
  byId("dot").style.left = `${100 * share(x)}%`;
  byId("dot").style.top = `${100 * (1 - share(y))}%`;
  pad.setAttribute("aria-valuenow", settings[x.name].toFixed(2));
  pad.setAttribute("aria-valuemin", x.low);
  pad.setAttribute("aria-valuemax", x.high);
  const at = [x, y].map((code) => `${code.name} ${told(code, settings[code.name])}`);
  pad.setAttribute("aria-valuetext", at.join(", "));
  pad.setAttribute("aria-label", `Pad: ${x.name} across, ${y.name} up; the arrow keys move them, Home centres them`);
  const [[left, right], [bottom, top]] = [x, y].map((code) => code.trained);
  const inset = [1 - top, 1 - right, bottom, left];
  byId("both-trained").style.inset = inset.map((share) => `${100 * share}%`).join(" ");
}

function movePad(event) {
  const box = byId("pad").getBoundingClientRect(), [x, y] = padCodes();
  const at = (code, share) => allowed(code.name, code.low + Math.min(Math.max(share, 0), 1) * (code.high - code.low));
  change({
    [y.name]: at(y, 1 - (event.clientY - box.top) / box.height),
    [x.name]: at(x, (event.clientX - box.left) / box.width),
  });
}

function keyOnPad(event) {
  const [x, y] = padCodes(), settings = sides[edited];
  const moves = { ArrowLeft: [x, -1], ArrowRight: [x, 1], ArrowDown: [y, -1], ArrowUp: [y, 1] };
  if (event.key === "Home") change({ [y.name]: y.middle, [x.name]: x.middle });
  else if (moves[event.key]) {
    const [code, steps] = moves[event.key];
    change({ [code.name]: allowed(code.name, settings[code.name] + steps * code.step) });
  } else return;
  event.preventDefault();
}

for (const code of model.codes) {
  for (const control of document.getElementsByName(code.name)) {
    control.addEventListener("input", () => change({ [code.name]: Number(control.value) }));
  }
}
byId("noise").addEventListener("input", () => {
  const value = allowed("noise", byId("noise").value);
  if (value !== null) change({ noise: value });
});
byId("another").addEventListener("click", () => change({ noise: Math.floor(Math.random() * 1000000) }));
byId("reset").addEventListener("click", () => change(defaults()));
byId("compare").addEventListener("change", () => {
  edited = compared() ? "b" : "a";
  if (compared()) sides.b = { ...sides.a };
  address();
  layOut();
});
for (const side of ["a", "b"]) {
  byId(`edit-${side}`).addEventListener("change", () => { edited = side; show(); });
}
if (byId("pad")) {
  const pad = byId("pad");
  pad.addEventListener("pointerdown", (event) => { pad.setPointerCapture(event.pointerId); movePad(event); });
  pad.addEventListener("pointermove", (event) => { if (event.buttons) movePad(event); });
  pad.addEventListener("keydown", keyOnPad);
  for (const id of ["pad-x", "pad-y"]) byId(id).addEventListener("change", showPad);
}
byId("copy").addEventListener("click", async () => {
  address();
  try {
    await navigator.clipboard.writeText(location.href.split("#")[0] + link());
    byId("copied").textContent = "Copied.";
  } catch {
    byId("copied").textContent = "Copy it from the address bar.";
  }
});
window.addEventListener("hashchange", restore);
// A page that a notebook holds has no address of its own.
byId("copy").hidden = byId("addressed").hidden = location.protocol === "about:";
restore();
