"use strict";
// The page that asks the network: strokes or picture files go to the server, which
// prepares them as it prepares any image file and says what they show. What kind of
// page it is, the server has decided: html's data-kind.

const $ = (id) => document.getElementById(id);
const side = 560; // of the drawing area, in its own units
const pen = 44; // width of a stroke, the share of a digit's height that MNIST's have
const mostPictures = 100; // that are kept at a time
const fewBars = 10; // classes shown before one asks for all

const pad = $("pad"); // null where drawing makes no sense
let model = null;
let token = "";
let strokes = []; // each a list of points
let pictures = []; // files that were given: {file, name, image, prepare, answer, error}
let picture = null; // the one of them that is shown, in place of strokes
let drawing = null; // id of the pointer that draws
let allBars = false;
const cursor = { x: side / 2, y: side / 2, down: false, shown: false };

// ---- asking

async function ask(path, body, type) {
  if (self.engine) return self.engine(path, body); // a page without a server
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
  $("problem").textContent = error ? (error.status ? error.message : self.engine ? `The network does not answer: ${error.message}` : "The server does not answer.") : "";
  if (error && $("note")) $("note").hidden = true;
  $("refused").textContent = locked && token ? "This is not its token." : "";
  $("main").hidden = locked;
  if (locked) {
    $("about").textContent = "";
    $("access").hidden = false;
    $("token").focus();
  }
}

const pause = () => new Promise((done) => setTimeout(done, 1000));
const later = (error) => error.status === 429 || error.status === 503; // too much to do there

// wanted tells whether a picture is still to be asked about. Only of the one that is
// shown, all layers are asked for.
const wanted = (p) => !p.error && (!p.answer || (p === picture && model.activations && !p.answer.layers));

let busy = false;
let stale = false; // the strokes, or which picture is shown, have changed
// changed asks about what is new, one question at a time. Of strokes only the latest
// are asked about, of pictures all, first the one that is shown.
async function changed() {
  if (!model) return;
  stale = true;
  if (busy) return;
  busy = true;
  while (stale || pictures.some(wanted)) {
    const fresh = stale;
    stale = false;
    if (picture && (!wanted(picture) || fresh)) display();
    const next = picture && wanted(picture) ? picture : fresh && !picture ? null : pictures.find(wanted);
    if (next) await askPicture(next);
    else if (next === null) await askStrokes();
  }
  busy = false;
}

async function askPicture(p) {
  try {
    const path = model.activations && p === picture ? "v1/activations" : "v1/predict";
    const answer = await ask(`${path}?seen=true${p.prepare ? "&prepare=" + p.prepare : ""}`, p.file, p.file.type.startsWith("image/") ? p.file.type : "application/octet-stream");
    if (model.id !== answer.model) await load();
    p.answer = answer.classes ? answer : Object.assign({ model: answer.model }, answer.predictions[0]);
  } catch (error) {
    if (later(error)) {
      if (p === picture) complain(error);
      await pause();
      return; // it is still wanted
    }
    if (error.status) error.message = `${p.name}: ${error.message.replace(/^image \d+( \(".*?"\))?: /, "")}`;
    p.error = error;
    if (error.status === 401) complain(error);
  }
  if (p === picture) display();
  list();
}

async function askStrokes() {
  const file = await strokesFile();
  if (!file) {
    show(null);
    complain(null);
    return;
  }
  try {
    const answer = await ask(model.activations ? "v1/activations" : "v1/predict", file, file.type);
    if (model.id !== answer.model) await load();
    show(answer);
    complain(null);
  } catch (error) {
    complain(error);
    if (later(error)) {
      await pause();
      stale = true;
    }
  }
}

// strokesFile is the drawing as a file: white on black, like MNIST.
async function strokesFile() {
  if (strokes.length === 0) return null;
  const canvas = new OffscreenCanvas(side / 2, side / 2);
  const c = canvas.getContext("2d");
  c.fillStyle = "#000";
  c.fillRect(0, 0, side, side);
  c.scale(0.5, 0.5);
  drawStrokes(c, "#fff");
  return canvas.convertToBlob({ type: "image/png" });
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
  if (!pad) return;
  const c = pad.getContext("2d");
  c.clearRect(0, 0, side, side);
  if (picture) {
    const image = picture.image;
    if (!image) return;
    c.imageSmoothingEnabled = image.width > 64;
    const scale = Math.min(side / image.width, side / image.height);
    const w = image.width * scale, h = image.height * scale;
    c.drawImage(image, (side - w) / 2, (side - h) / 2, w, h);
    return;
  }
  drawStrokes(c, colour("--ink"));
  if (strokes.length === 0 && !cursor.shown) {
    c.fillStyle = colour("--muted");
    c.font = "26px " + colour("--sans");
    c.textAlign = "center";
    c.fillText("Draw here, or drop a picture", side / 2, side / 2);
  }
  if (cursor.shown) {
    c.strokeStyle = colour(cursor.down ? "--bad" : "--accent");
    c.lineWidth = 3;
    c.beginPath();
    c.arc(cursor.x, cursor.y, pen / 2 + 3, 0, 2 * Math.PI);
    c.stroke();
  }
}

function update() {
  paint();
  changed();
}

function clear() {
  taken++;
  strokes = [];
  for (const p of pictures) if (p.image) p.image.close();
  pictures = [];
  picture = null;
  cursor.down = false;
  $("note").hidden = true;
  complain(null);
  list();
  display();
  update();
}

function undo() {
  if (picture) choose(null);
  else strokes.pop();
  cursor.down = false;
  update();
}

function at(event) {
  const box = pad.getBoundingClientRect();
  return { x: ((event.clientX - box.left) * side) / box.width, y: ((event.clientY - box.top) * side) / box.height };
}

if (pad) {
  pad.addEventListener("pointerdown", (event) => {
    if (drawing !== null || event.button !== 0) return;
    event.preventDefault();
    pad.focus({ preventScroll: true });
    pad.setPointerCapture(event.pointerId);
    drawing = event.pointerId;
    choose(null);
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
      event.preventDefault();
      choose(null);
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
  $("undo").addEventListener("click", undo);
}

// ---- pictures

let taken = 0; // how often pictures were given

// take shows the first of some picture files, in place of those before, and asks about
// all.
async function take(files, prepare) {
  clear();
  const turn = taken;
  if (files.length === 0) {
    complain({ status: 415, message: "That is no picture file." });
    return;
  }
  const notes = [];
  if (files.length > mostPictures) notes.push(`Only the first ${mostPictures} of ${files.length} pictures were taken.`);
  for (const file of files.slice(0, mostPictures)) {
    const p = { file, name: file.name || "The picture", image: null, prepare, answer: null, error: null };
    try {
      await look(p, notes);
    } catch {
      // The browser can't show it. The server says whether it can.
    }
    if (turn !== taken) return; // others were given meanwhile
    pictures.push(p);
    if (pictures.length === 1) choose(p);
    list();
    changed();
  }
  $("note").hidden = notes.length === 0;
  $("note").textContent = notes.join(" ");
}

// look decodes a picture for the screen, and makes one smaller that is larger than
// the server takes.
async function look(p, notes) {
  let image = await createImageBitmap(p.file);
  const limits = model && model.limits;
  if (limits && (p.file.size > limits.body_bytes || image.width * image.height > limits.pixels)) {
    const scale = Math.min(1, 2048 / Math.max(image.width, image.height), Math.sqrt(limits.pixels / (image.width * image.height)));
    const canvas = new OffscreenCanvas(Math.max(1, Math.floor(image.width * scale)), Math.max(1, Math.floor(image.height * scale)));
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    p.file = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
    notes.push(`${p.name} was made smaller: no larger one is taken.`);
  }
  const scale = 1120 / Math.max(image.width, image.height);
  if (scale < 1) {
    const large = image;
    image = await createImageBitmap(large, { resizeWidth: Math.ceil(large.width * scale), resizeHeight: Math.ceil(large.height * scale), resizeQuality: "medium" });
    large.close();
  }
  p.image = image;
}

// choose shows a picture, or the drawing again.
function choose(p) {
  if (p === picture) return;
  picture = p;
  if (p) p.error = null; // ask again
  if (p && !p.answer) show(null);
  display();
  list();
  paint();
}

// display shows what is known of the picture that is shown.
function display() {
  if (picture && picture.answer) show(picture.answer);
  if (picture && picture.error) show(null);
  if (picture) complain(picture.error);
  if (pad) return;
  $("pair").hidden = !picture || !(picture.image || picture.answer);
  $("invitation").hidden = !$("pair").hidden;
  if (shownFile !== (picture && picture.file)) {
    if (shownFile) URL.revokeObjectURL($("sent").src);
    shownFile = picture && picture.file;
    if (shownFile) $("sent").src = URL.createObjectURL(shownFile);
    else $("sent").removeAttribute("src");
  }
  if (!picture) return;
  $("sent").alt = picture.name;
  $("sent").parentNode.hidden = !picture.image;
  $("sent").classList.toggle("pixels", !!picture.image && picture.image.width <= 64);
  const seen = picture.answer && picture.answer.seen;
  $("seen").parentNode.style.visibility = seen ? "" : "hidden"; // it keeps its place
  if (seen) $("seen").src = seen;
}
let shownFile = null;

// list shows all pictures small, with what they are, where there are several.
function list() {
  const ul = $("pictures");
  ul.hidden = pictures.length < 2;
  if (ul.hidden) {
    ul.replaceChildren();
    return;
  }
  for (const item of [...ul.children]) if (!pictures.includes(item.picture)) item.remove();
  for (const p of pictures) {
    let item = [...ul.children].find((i) => i.picture === p);
    if (!item) {
      item = ul.appendChild(document.createElement("li"));
      item.picture = p;
      const button = item.appendChild(document.createElement("button"));
      button.type = "button";
      const small = button.appendChild(document.createElement("canvas"));
      small.width = small.height = 96;
      button.appendChild(document.createElement("span"));
      if (p.image) {
        const c = small.getContext("2d"), part = Math.min(p.image.width, p.image.height);
        c.imageSmoothingEnabled = part > 64;
        c.drawImage(p.image, (p.image.width - part) / 2, (p.image.height - part) / 2, part, part, 0, 0, 96, 96);
      }
      button.addEventListener("click", () => {
        choose(p);
        changed();
      });
    }
    const best = p.answer && p.answer.classes[0];
    const button = item.firstChild;
    const text = best ? best.class : p.error ? "no answer" : "…";
    button.lastChild.textContent = text;
    button.title = p.name;
    button.setAttribute("aria-label", `${p.name}: ${best ? `${best.class}, ${percent(best.probability)}` : text}`);
    button.setAttribute("aria-pressed", String(p === picture));
    button.classList.toggle("bad", !!p.error);
  }
}

$("clear")?.addEventListener("click", clear);
for (const id of ["file", "snap"]) {
  $(id)?.addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) take(files);
  });
}
$("drop")?.addEventListener("click", () => $("file").click());
if ($("file")) {
  let inside = 0; // elements below what is dragged
  const mark = (change) => document.body.classList.toggle("over", (inside = Math.max(0, change ? inside + change : 0)) > 0);
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(0);
    take([...event.dataTransfer.files]);
  });
  document.addEventListener("paste", (event) => {
    if (event.target.id === "token") return;
    event.preventDefault();
    const files = [...event.clipboardData.files];
    if (files.length) take(files);
    else complain({ status: 415, message: "There is no picture on the clipboard." });
  });
}

// A phone has its own camera; elsewhere the browser shows what the camera sees.
function offerCamera() {
  if (!$("camera")) return;
  const phone = matchMedia("(pointer: coarse)").matches;
  $("snap").hidden = $("snaplabel").hidden = !phone;
  $("photo").hidden = phone || !navigator.mediaDevices || !navigator.mediaDevices.getUserMedia; // there where the page's origin is trusted
}

const cameraProblems = {
  NotAllowedError: "The browser doesn't let this page use the camera. Allow it in the browser's settings for this page.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera can't be used: another program may have it.",
};

let stream = null;
function endCamera() {
  for (const track of stream ? stream.getTracks() : []) track.stop();
  stream = null;
  $("view").srcObject = null;
}
$("photo")?.addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    $("view").srcObject = stream;
    $("camera").showModal();
    await $("view").play();
  } catch (error) {
    $("camera").close();
    endCamera();
    complain({ status: 403, message: cameraProblems[error.name] || `The camera can't be used: ${error.message}` });
  }
});
$("shutter")?.addEventListener("click", async () => {
  const view = $("view");
  if (!view.videoWidth) return; // it hasn't begun
  const canvas = new OffscreenCanvas(view.videoWidth, view.videoHeight);
  canvas.getContext("2d").drawImage(view, 0, 0);
  $("camera").close();
  const file = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 });
  take([new File([file], "photo.jpg", { type: file.type })]);
});
$("leave")?.addEventListener("click", () => $("camera").close());
$("camera")?.addEventListener("close", endCamera);

// ---- showing

let saying = 0;
// say tells a screen reader, once what is to be told has stayed for a moment.
function say(text) {
  clearTimeout(saying);
  saying = setTimeout(() => ($("said").textContent = text), 700);
}

const percent = (p) => (100 * p).toFixed(1) + " %";

function show(answer) {
  const classes = answer ? answer.classes || answer.predictions[0].classes : [];
  const best = classes[0];
  $("best").textContent = best ? best.class : "?";
  $("best").classList.toggle("words", !!best && best.class.length > 2);
  $("sure").textContent = best ? percent(best.probability) : !picture ? "nothing to see yet" : picture.error ? "no answer" : "looking …";
  const told = classes.slice(0, 2).map((c) => `${c.class}, ${percent(c.probability)}`).join("; else ");
  if (best || !picture) say(told || "Empty.");
  bars(classes);
  if (!answer && !pad) {
    $("inside").hidden = true;
    return;
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

// bars shows the classes: ten that are drawn in their own order, so that they stay
// where they are as one draws, others by rank.
function bars(classes) {
  if (!model) return; // a picture came before the model
  const fixed = !!pad && model.classes.length <= fewBars;
  const share = new Map(classes.map((c) => [c.class, c.probability]));
  const known = fixed || classes.length === 0 ? model.classes : classes.map((c) => c.class);
  const names = known.slice(0, allBars ? known.length : fewBars);
  const list = $("bars");
  while (list.children.length > names.length) list.lastChild.remove();
  names.forEach((name, i) => {
    let row = list.children[i];
    if (!row) {
      row = list.appendChild(document.createElement("li"));
      for (const part of ["name", "track", "share"]) row.appendChild(document.createElement("span")).className = part;
      row.children[1].appendChild(document.createElement("div")).className = "bar";
    }
    const p = share.get(name) || 0;
    row.children[0].textContent = name;
    row.classList.toggle("first", classes.length > 0 && name === classes[0].class);
    row.querySelector(".bar").style.width = 100 * p + "%";
    row.children[2].textContent = classes.length ? percent(p) : "";
  });
  $("more").hidden = known.length <= fewBars;
  $("more").textContent = allBars ? `Show ${fewBars} classes` : `Show all ${known.length.toLocaleString("en")} classes`;
}
$("more")?.addEventListener("click", () => {
  allBars = !allBars;
  if (picture || !strokes.length) bars((picture && picture.answer && picture.answer.classes) || []);
  else changed();
});

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
  if (model.subject !== document.documentElement.dataset.kind) location.reload(); // another network, which needs another page
  for (const p of pictures) p.answer = p.error = null;
  const count = (n) => n.toLocaleString("en");
  $("about").textContent = `The network ${model.name || "without a name"}, ${count(model.weights)} weights, trained on ${model.data}` +
    ` for ${model.epochs} epoch${model.epochs === 1 ? "" : "s"}, tells ${count(model.classes.length)} classes apart. It answers ${self.engine ? "in" : "on"} ${model.device}.`;
  if (!$("bars")) return;
  bars([]);
  $("examples").replaceChildren(...model.examples.map((example, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = example.class;
    const image = button.appendChild(document.createElement("img"));
    image.src = example.image;
    image.alt = `Test image ${i}: ${example.class}`;
    if (!pad) {
      const name = button.appendChild(document.createElement("span"));
      name.textContent = example.class;
      name.setAttribute("aria-hidden", "true");
    }
    button.addEventListener("click", async () => {
      const answer = await fetch(example.image);
      take([new File([await answer.blob()], image.alt, { type: "image/png" })], "stretch");
    });
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
  if ($("bars")) update();
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  start();
});
if ($("bars")) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  offerCamera();
}
start();
