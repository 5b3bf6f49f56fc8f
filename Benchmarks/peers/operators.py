"""The operators of `network.py` in MXNet, in PyTorch, and in NumPy in double precision."""

import contextlib
import os


class MXNet:
    """The operators of the authors' script, through oneDNN."""

    def __init__(self, threads):
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import mxnet

        self.mx = mxnet
        self.nd = mxnet.nd
        self.version = f"MXNet {mxnet.__version__}"

    def array(self, values):
        return self.nd.array(values, dtype=values.dtype)

    def replaced(self, tensor, index, value):
        tensor = tensor.copy()
        tensor.reshape((-1,))[index] = value
        return tensor

    def relu(self, x):
        return self.nd.relu(x)

    def convolution(self, x, w):
        return self.nd.Convolution(
            x, w, kernel=(3, 3), pad=(1, 1), num_filter=w.shape[0], no_bias=True
        )

    def average_pool(self, x):
        return self.nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg")

    def batch_norm(self, x, gamma, beta, running):
        from network import EPSILON

        # On their own statistics it reads no others.
        mean, variance = running or (self.nd.zeros_like(gamma), self.nd.ones_like(gamma))
        with self.mx.autograd.predict_mode() if running else self.mx.autograd.train_mode():
            return self.nd.BatchNorm(
                x, gamma, beta, mean, variance, eps=EPSILON, momentum=0, fix_gamma=False,
                use_global_stats=running is not None,
            )

    def global_max(self, x):
        return self.nd.Pooling(x, global_pool=True, pool_type="max").reshape((0, -1))

    def linear(self, x, w):
        return self.nd.FullyConnected(x, w, num_hidden=w.shape[0], no_bias=True)

    def cross_entropy(self, logits, labels):
        return -self.nd.pick(self.nd.log_softmax(logits), labels).astype("float64").sum()

    def number(self, value):
        return float(value.asscalar())

    def wait(self, value):
        value.wait_to_read()

    def inference(self):
        return self.mx.autograd.pause()


class PyTorch:
    """The same operators in PyTorch, under `inference_mode`, channels last: convolutions of 28×28 take less than half
    the time of the other layout.

    `half`: convolutions, linear layers and what lies between them in fp16, by autocast. `compiles`: by torch.compile.
    """

    device = "cpu"

    def __init__(self, threads, half=False, compiles=False):
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import torch

        torch.set_num_threads(threads)
        self.torch = torch
        self.f = torch.nn.functional
        self.version = f"PyTorch {torch.__version__}"
        self.half = half
        if compiles:
            self.functions = {}
            self.compiled = self.compute

    def compute(self, ops, w, first, x, labels):
        """`network.loss` as torch.compile makes it, once for each block to start from, with CUDA graphs."""
        import network

        if first not in self.functions:
            # One function has eight shapes of arguments at most, unless that is raised.
            self.functions[first] = self.torch.compile(
                lambda w, x, labels: network.loss(self, w, first, x, labels), dynamic=False,
                mode="reduce-overhead" if self.device != "cpu" else None)
        # A graph writes its result to the same place each time.
        if self.device != "cpu":
            self.torch.compiler.cudagraph_mark_step_begin()
        return self.functions[first](w, x, labels).clone()

    def array(self, values):
        tensor = self.torch.from_numpy(values.copy()).to(self.device)
        return tensor.contiguous(memory_format=self.torch.channels_last) if values.ndim == 4 else tensor

    def replaced(self, tensor, index, value):
        values = tensor.contiguous().clone()
        values.view(-1)[index] = value
        return values.contiguous(memory_format=self.torch.channels_last) if tensor.ndim == 4 else values

    def relu(self, x):
        return self.f.relu(x)

    def convolution(self, x, w):
        return self.f.conv2d(x, w, padding=1)

    def average_pool(self, x):
        return self.f.avg_pool2d(x, 2)

    def batch_norm(self, x, gamma, beta, running):
        from network import EPSILON

        mean, variance = running or (None, None)
        return self.f.batch_norm(
            x, mean, variance, gamma, beta, training=running is None, eps=EPSILON
        )

    def global_max(self, x):
        return x.amax((2, 3))

    def linear(self, x, w):
        return self.f.linear(x, w)

    def cross_entropy(self, logits, labels):
        return self.f.cross_entropy(logits, labels.long(), reduction="none").double().sum()

    def number(self, value):
        return float(value)

    def wait(self, value):
        pass

    def inference(self):
        stack = contextlib.ExitStack()
        stack.enter_context(self.torch.inference_mode())
        if self.half:
            stack.enter_context(self.torch.autocast(self.device.split(":")[0], dtype=self.torch.float16))
        return stack


class CUDA(PyTorch):
    """The same on an NVIDIA card, through cuDNN; fp32 is without tensor cores."""

    device = "cuda:0"

    def __init__(self, threads, half=False, compiles=False):
        super().__init__(threads, half, compiles)
        torch = self.torch
        if not torch.cuda.is_available():
            raise SystemExit("PyTorch finds no card: see nvidia-smi, or install a build of PyTorch for CUDA")
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        # The first pass tries cuDNN's ways and keeps the fastest.
        torch.backends.cudnn.benchmark = True
        self.version += (
            f", cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name(0)}"
        )

    def wait(self, value):
        self.torch.cuda.synchronize()


class NumPy:
    """Plain, in double precision: what the others are checked against."""

    version = "NumPy"

    def __init__(self):
        import numpy

        self.np = numpy

    def array(self, values):
        return values.astype(self.np.float64)

    def replaced(self, tensor, index, value):
        tensor = tensor.copy()
        tensor.reshape(-1)[index] = value
        return tensor

    def relu(self, x):
        return self.np.maximum(x, 0)

    def convolution(self, x, w):
        rows, columns = x.shape[2:]
        padded = self.np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return sum(
            self.np.einsum(
                "ncyx,oc->noyx", padded[:, :, ky : ky + rows, kx : kx + columns], w[:, :, ky, kx]
            )
            for ky in range(3)
            for kx in range(3)
        )

    def average_pool(self, x):
        return sum(x[:, :, i::2, j::2] for i in range(2) for j in range(2)) / 4

    def batch_norm(self, x, gamma, beta, running):
        from network import EPSILON

        mean, variance = running or (x.mean((0, 2, 3)), x.var((0, 2, 3)))
        scale = gamma / self.np.sqrt(variance + EPSILON)
        return x * scale[:, None, None] + (beta - mean * scale)[:, None, None]

    def global_max(self, x):
        return x.max((2, 3))

    def linear(self, x, w):
        return x @ w.T

    def cross_entropy(self, logits, labels):
        largest = logits.max(1, keepdims=True)
        sums = self.np.log(self.np.exp(logits - largest).sum(1)) + largest[:, 0]
        return (sums - logits[self.np.arange(len(labels)), labels.astype(int)]).sum()

    def number(self, value):
        return float(value)
