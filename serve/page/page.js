"use strict";
// The page to draw on: strokes become a picture, the server says what it shows.
// It prepares the picture as it prepares any image file.

const $ = (id) => document.getElementById(id);
const side = 560; // of the drawing area, in its own units
const pen = 44; // width of a stroke, the share of a digit's height that MNIST's have

const pad = $("pad");
let model = null;
let token = "";
let strokes = []; // each a list of points
let picture = null; // {image, file, prepare} in place of strokes
let drawing = null; // id of the pointer that draws
const cursor = { x: side / 2, y: side / 2, down: false, shown: false };

// ---- asking

async function ask(path, body, type) {
  const headers = {};
  if (type) headers["Content-Type"] = type;
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch(path, { method: body ? "POST" : "GET", body, headers });
  if (answer.ok) return answer.json();
  const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
  throw Object.assign(new Error(problem.detail), { status: answer.status });
}

function complain(error) {
  const locked = !!error && error.status === 401;
  $("problem").hidden = !error || locked;
  $("problem").textContent = error ? (error.status ? error.message : "The server does not answer.") : "";
  $("refused").textContent = locked && token ? "This is not its token." : "";
  $("main").hidden = locked;
  if (locked) {
    $("about").textContent = "";
    $("access").hidden = false;
    $("token").focus();
  }
}

let busy = false;
let stale = false;
// changed asks about the picture; while one question is out, the next waits, and
// only the latest is asked.
async function changed() {
  if (!model) return;
  stale = true;
  if (busy) return;
  busy = true;
  while (stale) {
    stale = false;
    const question = await content();
    if (!question) {
      show(null);
      continue;
    }
    try {
      const path = (model.activations ? "v1/activations" : "v1/predict") + "?prepare=" + question.prepare;
      const answer = await ask(path, question.file, question.file.type);
      if (model.id !== answer.model) await load();
      show(answer);
      complain(null);
    } catch (error) {
      complain(error);
      if (error.status === 429 || error.status === 503) {
        await new Promise((done) => setTimeout(done, 1000));
        stale = true;
      }
    }
  }
  busy = false;
}

// content is the picture as a file: white on black, like MNIST.
async function content() {
  if (picture) return picture;
  if (strokes.length === 0) return null;
  const canvas = new OffscreenCanvas(side / 2, side / 2);
  const c = canvas.getContext("2d");
  c.fillStyle = "#000";
  c.fillRect(0, 0, side, side);
  c.scale(0.5, 0.5);
  drawStrokes(c, "#fff");
  return { file: await canvas.convertToBlob({ type: "image/png" }), prepare: "auto" };
}

// ---- drawing

function drawStrokes(c, colour) {
  c.strokeStyle = c.fillStyle = colour;
  c.lineWidth = pen;
  c.lineCap = c.lineJoin = "round";
  for (const points of strokes) {
    c.beginPath();
    if (points.every((p) => p.x === points[0].x && p.y === points[0].y)) { // a line that goes nowhere leaves nothing
      c.arc(points[0].x, points[0].y, pen / 2, 0, 2 * Math.PI);
      c.fill();
      continue;
    }
    c.moveTo(points[0].x, points[0].y);
    for (let i = 1; i < points.length - 1; i++) { // through the middles, so that corners are round
      c.quadraticCurveTo(points[i].x, points[i].y, (points[i].x + points[i + 1].x) / 2, (points[i].y + points[i + 1].y) / 2);
    }
    const last = points[points.length - 1];
    c.lineTo(last.x, last.y);
    c.stroke();
  }
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function paint() {
  const c = pad.getContext("2d");
  c.clearRect(0, 0, side, side);
  if (picture) {
    c.imageSmoothingEnabled = picture.image.width > 64;
    const scale = Math.min(side / picture.image.width, side / picture.image.height);
    const w = picture.image.width * scale, h = picture.image.height * scale;
    c.drawImage(picture.image, (side - w) / 2, (side - h) / 2, w, h);
    return;
  }
  drawStrokes(c, colour("--ink"));
  if (strokes.length === 0 && !cursor.shown) {
    c.fillStyle = colour("--muted");
    c.font = "26px " + colour("--sans");
    c.textAlign = "center";
    c.fillText(drawable() ? "Draw here" : "Open a picture, or drop one here", side / 2, side / 2);
  }
  if (cursor.shown) {
    c.strokeStyle = colour(cursor.down ? "--bad" : "--accent");
    c.lineWidth = 3;
    c.beginPath();
    c.arc(cursor.x, cursor.y, pen / 2 + 3, 0, 2 * Math.PI);
    c.stroke();
  }
}

const drawable = () => !model || (model.input.channels === 1 && model.input.height === 28 && model.input.width === 28);

function update() {
  paint();
  changed();
}

function clear() {
  strokes = [];
  picture = null;
  cursor.down = false;
  update();
}

function undo() {
  if (picture) picture = null;
  else strokes.pop();
  cursor.down = false;
  update();
}

function at(event) {
  const box = pad.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * side) / box.width, y: ((event.clientY - box.top) * side) / box.height };
}

pad.addEventListener("pointerdown", (event) => {
  if (!drawable() || drawing !== null || event.button !== 0) return;
  event.preventDefault();
  pad.focus({ preventScroll: true });
  pad.setPointerCapture(event.pointerId);
  drawing = event.pointerId;
  picture = null;
  cursor.shown = cursor.down = false;
  strokes.push([at(event)]);
  update();
});
pad.addEventListener("pointermove", (event) => {
  if (event.pointerId !== drawing) return;
  const all = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const e of all.length ? all : [event]) strokes[strokes.length - 1].push(at(e));
  update();
});
for (const end of ["pointerup", "pointercancel"]) {
  pad.addEventListener(end, (event) => {
    if (event.pointerId === drawing) drawing = null;
  });
}

pad.addEventListener("keydown", (event) => {
  if (event.ctrlKey && event.key !== "z" || event.altKey || event.metaKey) return;
  const step = event.shiftKey ? 56 : 20;
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  const key = event.key;
  if (key in moves || key === " ") {
    if (!drawable()) return;
    event.preventDefault();
    if (picture) picture = null;
    cursor.shown = true;
    if (key === " ") {
      cursor.down = !cursor.down;
      say(cursor.down ? "Pen down." : "Pen up.");
      if (cursor.down) strokes.push([{ x: cursor.x, y: cursor.y }]);
    } else {
      cursor.x = Math.min(side - 30, Math.max(30, cursor.x + moves[key][0]));
      cursor.y = Math.min(side - 30, Math.max(30, cursor.y + moves[key][1]));
      if (cursor.down) strokes[strokes.length - 1].push({ x: cursor.x, y: cursor.y });
    }
    if (cursor.down) update();
    else paint();
  } else if (key === "Delete" || key === "Backspace" || key === "Escape") {
    event.preventDefault();
    clear();
  } else if (key === "z" || key === "Z") {
    event.preventDefault();
    undo();
  }
});
pad.addEventListener("blur", () => {
  cursor.shown = cursor.down = false;
  paint();
});
$("clear").addEventListener("click", clear);
$("undo").addEventListener("click", undo);

async function open(file, prepare) {
  try {
    picture = { image: await createImageBitmap(file), file, prepare };
    update();
  } catch {
    complain(Object.assign(new Error("This is not a picture that the browser can show."), { status: 415 }));
  }
}

$("file").addEventListener("change", (event) => {
  if (event.target.files[0]) open(event.target.files[0], "auto");
  event.target.value = "";
});
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0], "auto");
});

// ---- showing

let saying = 0;
// say tells a screen reader, once what is to be told has stayed for a moment.
function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => ($("said").textContent = text), 700);
}

const percent = (p) => (100 * p).toFixed(1) + " %";

function show(answer) {
  const classes = answer ? (answer.classes || answer.predictions[0].classes) : [];
  const best = classes[0];
  $("best").textContent = best ? best.class : "?";
  $("best").classList.toggle("words", !!best && best.class.length > 2);
  $("sure").textContent = best ? percent(best.probability) : "nothing to see yet";
  say(best ? `${best.class}, ${percent(best.probability)}; else ${classes[1].class}, ${percent(classes[1].probability)}` : "Empty.");
  const share = new Map(classes.map((c) => [c.class, c.probability]));
  for (const row of $("bars").children) {
    const p = share.get(row.dataset.class) || 0;
    row.classList.toggle("first", !!best && row.dataset.class === best.class);
    row.querySelector(".bar").style.width = 100 * p + "%";
    row.querySelector(".share").textContent = best ? percent(p) : "";
  }
  if (!answer) { // the layers keep their place, so that the page does not move below who draws on
    for (const canvas of document.querySelectorAll("#layers canvas")) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    return;
  }
  $("inside").hidden = !answer.layers;
  if (!answer.layers) return;
  const all = [Object.assign({}, answer.input, { name: "what the network sees" }), ...answer.layers];
  const list = $("layers");
  while (list.children.length > all.length) list.lastChild.remove();
  all.forEach((layer, i) => {
    let item = list.children[i];
    if (!item) {
      item = list.appendChild(document.createElement("li"));
      item.append(document.createElement("h3"), document.createElement("p"), document.createElement("canvas"));
      item.children[1].className = "muted";
      item.children[2].setAttribute("role", "img");
    }
    const s = layer.shape;
    const shape = s.height * s.width === 1 ? `${s.channels} values` : `${s.channels} x ${s.height} x ${s.width}`;
    item.children[0].textContent = layer.name;
    const chained = i === 0 || (layer.from.length === 1 && layer.from[0] === (i === 1 ? "input" : all[i - 1].name));
    item.children[1].textContent = shape + (layer.shown.channels < s.channels ? `, the first ${layer.shown.channels}` : "") +
      (chained ? "" : `, from ${layer.from.join(" and ")}`);
    item.children[2].setAttribute("aria-label", `Picture of ${layer.name}, from ${layer.low.toPrecision(3)} to ${layer.high.toPrecision(3)}`);
    drawLayer(item.children[2], layer);
  });
}

function rgb(name) {
  const hex = colour(name);
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

// drawLayer draws maps side by side, or flat values as one map.
function drawLayer(canvas, layer) {
  const data = atob(layer.data);
  const flat = layer.shown.height * layer.shown.width === 1;
  const n = flat ? 1 : layer.shown.channels;
  const isColour = !flat && n === 3 && layer.type === "input";
  const tiles = isColour ? 1 : n;
  let w = layer.shown.width, h = layer.shown.height;
  if (flat) {
    w = layer.shown.channels <= 16 ? layer.shown.channels : Math.ceil(Math.sqrt(layer.shown.channels));
    h = Math.ceil(layer.shown.channels / w);
  }
  const columns = Math.ceil(Math.sqrt(tiles));
  const gap = tiles > 1 ? 1 : 0;
  canvas.width = columns * (w + gap) - gap;
  canvas.height = Math.ceil(tiles / columns) * (h + gap) - gap;
  const c = canvas.getContext("2d");
  const image = c.createImageData(canvas.width, canvas.height);
  const zero = rgb("--paper"), more = rgb("--accent"), less = rgb("--series-2");
  const span = layer.high - layer.low, reach = Math.max(layer.high, -layer.low) || 1;
  for (let i = 0; i < (isColour ? w * h : data.length); i++) {
    const tile = flat ? 0 : Math.floor(i / (w * h)), j = flat ? i : i % (w * h);
    const x = (tile % columns) * (w + gap) + (j % w), y = Math.floor(tile / columns) * (h + gap) + Math.floor(j / w);
    const v = (layer.low + (span * data.charCodeAt(i)) / 255) / reach;
    const to = v < 0 ? less : more;
    for (let k = 0; k < 3; k++) {
      image.data[4 * (y * canvas.width + x) + k] = isColour ? data.charCodeAt(k * w * h + i) : zero[k] + (to[k] - zero[k]) * Math.abs(v);
    }
    image.data[4 * (y * canvas.width + x) + 3] = 255;
  }
  c.putImageData(image, 0, 0);
}

// ---- beginning

async function load() {
  model = await ask("v1/model");
  const digits = model.classes.join("") === "0123456789";
  $("title").textContent = drawable() ? (digits ? "Draw a digit" : "Draw something") : "Show it a picture";
  const count = (n) => n.toLocaleString("en");
  $("about").textContent = `The network ${model.name || "without a name"}, ${count(model.weights)} weights, trained on ${model.data.replace(/ training$/, "")}` +
    ` for ${model.epochs} epoch${model.epochs === 1 ? "" : "s"}, answers on ${model.device}.`;
  $("undo").hidden = $("keys").hidden = $("live").hidden = !drawable();
  $("bars").replaceChildren(...model.classes.slice(0, 100).map((name) => {
    const row = document.createElement("li");
    row.dataset.class = name;
    for (const part of ["name", "track", "share"]) row.appendChild(document.createElement("span")).className = part;
    row.children[0].textContent = name;
    row.children[1].appendChild(document.createElement("div")).className = "bar";
    return row;
  }));
  $("examples").replaceChildren(...model.examples.map((example, i) => {
    const button = document.createElement("button");
    button.type = "button";
    const image = button.appendChild(document.createElement("img"));
    image.src = example.image;
    image.alt = `Test image ${i}: ${example.class}`;
    button.addEventListener("click", async () => open(await (await fetch(example.image)).blob(), "resize"));
    return button;
  }));
}

async function start() {
  try {
    await load();
    $("access").hidden = true;
    complain(null);
  } catch (error) {
    complain(error);
  }
  update();
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  start();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
start();
