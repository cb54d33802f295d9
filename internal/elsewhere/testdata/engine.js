// Runs the engine of exported pages in Node: node engine.js FOLDER, with the page's wasm_exec.js, engine.wasm and task.json
// in it. Prints what classify returns for each of the task's pictures, bytes as lists.
"use strict";
const fs = require("fs"), path = require("path");
const read = (name) => fs.readFileSync(path.join(process.argv[2], name));
const task = JSON.parse(read("task.json"));
require(path.resolve(process.argv[2], "wasm_exec.js"));
(async () => {
  const go = new Go();
  const { instance } = await WebAssembly.instantiate(read("engine.wasm"), go.importObject);
  await new Promise((ready) => {
    globalThis.networkReady = ready;
    go.run(instance);
  });
  const problem = globalThis.network.load(task.network, new Uint8Array(Buffer.from(task.weights, "base64")));
  if (problem) throw new Error(problem.error);
  const answers = task.pictures.map((p) => globalThis.network.classify(new Uint8Array(Buffer.from(p.rgba, "base64")), p.width, p.height, p.prepare, true));
  fs.writeSync(1, JSON.stringify({ answers }, (_, v) => (v instanceof Uint8Array ? [...v] : v)));
  process.exit(0);
})();
