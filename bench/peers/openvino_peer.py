"""OpenVINO on the CPU, with gputrain's own export of the network. It infers only."""

import os

from protocol import Unavailable, serve


class OpenVino:
    def __init__(self, job):
        if job.mode != "infer":
            raise Unavailable("OpenVINO infers only")
        self.tier = None
        if job.tier == "avx2":
            os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        import openvino

        core = openvino.Core()
        model = core.read_model(job.onnx)
        model.reshape([job.batch, *job.network.input])
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": job.threads, "NUM_STREAMS": 1}
        self.compiled = core.compile_model(model, "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.version = openvino.__version__.partition("-")[0]
        self.settings = "gputrain's ONNX model of a fixed batch, precision f32, one stream; threads as asked"

    def put(self, images, labels):
        return images

    def infer(self, batch):
        return self.request.infer([batch], share_inputs=True, share_outputs=True)[0]


if __name__ == "__main__":
    serve("openvino", OpenVino)
