// engine answers what the page asks, in place of a server: engine("v1/predict?seen=true", file) returns a promise of what a
// server would answer. The network runs in a thread of its own, so the page stays alive meanwhile. All that the thread
// needs is in strings, because a page that was opened as a file may load nothing from beside it but scripts.
function newEngine({ runtime, wasm }, { model, network, weights }) {
  // The thread's code. It becomes a text, so it sees nothing of what is around it here.
  async function thread() {
    const bytes = async (base64) => (await fetch("data:application/octet-stream;base64," + base64)).arrayBuffer();
    const base64 = (data) => {
      let text = "";
      for (let i = 0; i < data.length; i += 4096) text += String.fromCharCode(...data.subarray(i, i + 4096));
      return btoa(text);
    };
    const failed = (status, message) => Object.assign(new Error(message), { status });
    const drawn = (width, height) => new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });

    let about = null;
    async function load({ model, network, weights, wasm }) {
      about = model;
      const go = new Go();
      const unzipped = new Blob([await bytes(wasm)]).stream().pipeThrough(new DecompressionStream("gzip"));
      const { instance } = await WebAssembly.instantiate(await new Response(unzipped).arrayBuffer(), go.importObject);
      await new Promise((ready, refused) => {
        self.networkReady = ready;
        go.run(instance).then(() => refused(new Error("the engine has stopped")), refused);
      });
      const problem = self.network.load(network, new Uint8Array(await bytes(weights)));
      if (problem) throw new Error(problem.error);
    }

    async function picture(pixels) {
      const { channels, height, width } = about.input, area = height * width;
      const c = drawn(width, height), image = c.createImageData(width, height);
      for (let i = 0; i < area; i++) {
        for (let k = 0; k < 3; k++) image.data[4 * i + k] = pixels[channels === 3 ? k * area + i : i];
        image.data[4 * i + 3] = 255;
      }
      c.putImageData(image, 0, 0);
      const file = await c.canvas.convertToBlob({ type: "image/png" });
      return "data:image/png;base64," + base64(new Uint8Array(await file.arrayBuffer()));
    }

    async function answer({ file, prepare, trace, seen }) {
      let image;
      try {
        image = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" });
      } catch {
        throw failed(415, "not a picture that this browser can read");
      }
      const c = drawn(image.width, image.height);
      c.drawImage(image, 0, 0);
      const { data, width, height } = c.getImageData(0, 0, image.width, image.height);
      image.close();
      const out = self.network.classify(data, width, height, prepare, trace);
      if (out.error) throw failed(422, out.error);
      const classes = out.probabilities.map((probability, k) => ({ class: about.classes[k], probability }));
      classes.sort((a, b) => b.probability - a.probability);
      const answer = { classes, seen: seen ? await picture(out.pixels) : undefined };
      if (!trace) return { model: about.id, predictions: [answer] };
      for (const layer of [out.input, ...out.layers]) layer.data = base64(layer.data);
      return { model: about.id, ...answer, input: out.input, layers: out.layers };
    }

    self.onmessage = async ({ data: { id, question } }) => {
      try {
        self.postMessage({ id, answer: await (question.wasm ? load(question) : answer(question)) });
      } catch (error) {
        self.postMessage({ id, error: { message: error.message, status: error.status } });
      }
    };
  }

  const code = `"use strict";\n${runtime}\n(${thread})();`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const open = new Map(); // the questions without an answer, by number
  let last = 0, broken = null;
  const tell = (question) => new Promise((answered, refused) => {
    if (broken) return refused(broken);
    open.set(++last, { answered, refused });
    worker.postMessage({ id: last, question });
  });
  worker.onmessage = ({ data: { id, answer, error } }) => {
    const { answered, refused } = open.get(id);
    open.delete(id);
    if (error) refused(Object.assign(new Error(error.message), error));
    else answered(answer);
  };
  worker.onerror = (event) => {
    broken = new Error(event.message || "the browser did not start its thread");
    for (const { refused } of open.values()) refused(broken);
    open.clear();
  };
  const ready = tell({ model, network, weights, wasm });
  ready.catch(() => {}); // who asks is told

  return async (path, file) => {
    await ready;
    const { pathname, searchParams } = new URL(path, "page:/");
    if (pathname.endsWith("v1/model")) return model;
    return tell({ file, prepare: searchParams.get("prepare") || model.preparation, trace: pathname.endsWith("v1/activations"), seen: searchParams.has("seen") });
  };
}
