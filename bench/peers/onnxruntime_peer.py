"""ONNX Runtime on the CPU, with gputrain's own export of the network. It infers only."""

from protocol import Unavailable, serve


class OnnxRuntime:
    def __init__(self, job):
        if job.mode != "infer":
            raise Unavailable("ONNX Runtime infers only")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(job.onnx, options, providers=["CPUExecutionProvider"])
        self.version, self.tier = onnxruntime.__version__, None  # its kernels can't be limited to AVX2
        self.name = self.session.get_inputs()[0].name
        self.settings = "gputrain's ONNX model, all graph optimisations; intra-op threads as asked"

    def put(self, images, labels):
        return images

    def infer(self, batch):
        return self.session.run(None, {self.name: batch})[0]


if __name__ == "__main__":
    serve("onnxruntime", OnnxRuntime)
