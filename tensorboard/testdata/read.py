"""Reads the event files of a folder of runs with TensorBoard and prints what it has of them as JSON.

usage: read.py FOLDER
They are read twice: by TensorBoard's library, and by its server, started on loopback.
"""
import json
import os
import sys
import time
import urllib.parse
import urllib.request

from tensorboard import program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder = sys.argv[1]


def accumulate(run):
    a = EventAccumulator(os.path.join(folder, run), size_guidance={"scalars": 0, "histograms": 0, "images": 0})
    a.Reload()
    tags = a.Tags()
    return {
        "scalars": {t: [[s.step, s.value] for s in a.Scalars(t)] for t in tags["scalars"]},
        "histograms": {t: [[h.step, h.histogram_value.num] for h in a.Histograms(t)] for t in tags["histograms"]},
        "images": {t: [[i.step, i.width, i.height] for i in a.Images(t)] for t in tags["images"]},
        "nodes": [n.name for n in a.Graph().node] if tags["graph"] else [],
    }


def serve(runs):
    board = program.TensorBoard()
    board.configure(argv=["tensorboard", "--logdir", folder, "--host", "127.0.0.1", "--port", "0", "--samples_per_plugin", "scalars=100000"])
    url = board.launch()

    def get(path, **query):
        with urllib.request.urlopen(url + "data/" + path + "?" + urllib.parse.urlencode(query), timeout=30) as answer:
            return answer.read()

    deadline = time.time() + 60
    before = None
    while True:  # it loads in the background
        scalars = {run: {t: [[step, value] for _, step, value in json.loads(get("plugin/scalars/scalars", run=run, tag=t))] for t in tags}
                   for run, tags in json.loads(get("plugin/scalars/tags")).items()}
        if sorted(scalars) == runs and scalars == before:
            break
        if time.time() > deadline:
            sys.exit(f"TensorBoard's server has {sorted(scalars)}, not {runs}")
        before = scalars
        time.sleep(1)
    histograms, images = json.loads(get("plugin/histograms/tags")), json.loads(get("plugin/images/tags"))
    pictures = {}
    for run, tags in images.items():
        for tag in tags:
            for picture in json.loads(get("plugin/images/images", run=run, tag=tag, sample=0)):
                png = get("plugin/images/individualImage", **dict(urllib.parse.parse_qsl(picture["query"])))
                pictures.setdefault(run, {}).setdefault(tag, []).append(png[1:4].decode())
    graphs = {run: get("plugin/graphs/graph", run=run, conceptual="false").decode() for run in json.loads(get("plugin/graphs/info"))}
    return {run: {
        "scalars": scalars[run], "histograms": sorted(histograms.get(run, {})), "images": pictures.get(run, {}), "graph": graphs.get(run, ""),
    } for run in runs}


runs = sorted(os.path.relpath(path, folder) for path, _, names in os.walk(folder) if any("tfevents" in n for n in names))
json.dump({"library": {run: accumulate(run) for run in runs}, "server": serve(runs)}, sys.stdout)
