"""`.onnx` files: G, and beside it Q, for whatever runs ONNX.

The graphs are written from the tables' rows, with batch norm folded into the weights. They take and give what
a `Model` does: "noise" and each code by name, to "images", [n, h, w, c]; and "images" to each code by name.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from infogan_jax import __version__
from infogan_jax.codes import Bernoulli, Categorical
from infogan_jax.config import InfoGANConfig, from_json, to_json
from infogan_jax.errors import UserError
from infogan_jax.export.model import Model, model_variables
from infogan_jax.images import write_atomically
from infogan_jax.networks.folding import Affine, folded
from infogan_jax.networks.tables import KERNEL_SIZE, Layer
from infogan_jax.tasks import infogan

_OPSET = 17
_IR_VERSION = 8
"""Those of ONNX 1.12 (2022): newer runtimes read them, older ones may."""

_ACTIVATIONS = {"relu": "Relu", "lrelu": "LeakyRelu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def reader_path(path: Path) -> Path:
    """Where Q lies beside G: generator-codes.onnx of generator.onnx."""
    return path.with_name(f"{path.stem}-codes.onnx")


def write_onnx_files(path: Path, config: InfoGANConfig, state: infogan.State, step: int) -> None:
    """Writes G to a file, and Q to `reader_path` beside it, for any batch size, in float32.

    Args:
        path: the file of G; both are replaced as a whole if they exist.
        config: the run's configuration.
        state: the trained state.
        step: the checkpoint's.

    Raises:
        UserError: onnx or onnxruntime isn't installed.
    """
    onnx, _ = require()
    generator, discriminator = map(jax.device_get, model_variables(state))
    about = {
        "infogan-jax": __version__,
        "step": str(step),
        "config": json.dumps(to_json(config)),
    }
    for file, graph in (
        (path, _generator_graph(config, generator)),
        (reader_path(path), _reader_graph(config, discriminator)),
    ):
        model = onnx.helper.make_model(
            graph,
            opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="infogan-jax",
            producer_version=__version__,
        )
        onnx.helper.set_model_props(model, about)
        onnx.checker.check_model(model, full_check=True)
        write_atomically(file, model.SerializeToString(deterministic=True))


def read_onnx_files(path: Path) -> Model:
    """The model that `write_onnx_files` wrote, run by ONNX Runtime on the CPU.

    Raises:
        UserError: onnx or onnxruntime isn't installed, or a file is missing, damaged or not ours.
    """
    _, runtime = require()
    state = runtime.capi.onnxruntime_pybind11_state
    unreadable = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
    sessions = {}
    for file in (path, reader_path(path)):
        if not file.exists():
            raise UserError(f"{file} isn't there: eval.py --export writes it beside {path}")
        try:
            sessions[file] = runtime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
        except unreadable as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{file} can't be read by onnxruntime ({reason})") from error
    about = sessions[path].get_modelmeta().custom_metadata_map
    if "config" not in about:
        raise UserError(f"{path} was not written by eval.py --export: open it with onnxruntime itself")
    config = from_json(json.loads(about["config"]))
    if not isinstance(config, InfoGANConfig):
        raise UserError(f"{path} holds the configuration of another task: eval.py --export writes InfoGANs")
    generate, read = (_runner(session) for session in sessions.values())
    versions = {"infogan-jax": about["infogan-jax"]}
    return Model(
        config,
        int(about["step"]),
        versions,
        lambda draw: generate(draw)["images"],
        lambda images: read({"images": images}),
    )


def _runner(session: Any) -> Callable[[dict[str, Array]], dict[str, Array]]:
    names = [output.name for output in session.get_outputs()]
    inputs = [one.name for one in session.get_inputs()]

    def run(values: dict[str, Array]) -> dict[str, Array]:
        made = session.run(names, {name: np.asarray(values[name]) for name in inputs})
        return dict(zip(names, map(jnp.asarray, made), strict=True))

    return run


def require() -> tuple[Any, Any]:
    """The optional packages onnx and onnxruntime.

    Raises:
        UserError: one isn't installed.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise UserError(f"ONNX needs the package {error.name}: pip install 'infogan-jax[onnx]'") from error
    return onnx, onnxruntime


class _Nodes:
    """A graph that grows at its end."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, dtype: Any) -> str:
        import onnx

        name = f"w{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        import onnx

        output = output or f"x{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def rows(self, x: str, maps: Sequence[Affine], *, image: bool) -> tuple[str, bool]:
        """Applies rows to x, [n, c, h, w] where it is an image, else [n, k]."""
        for layer, kernel, bias in maps:
            if layer.kind == "dense":
                if image:
                    x, image = self.flattened(x), False
                x = self.add("Gemm", x, self.constant(kernel, np.float32), self.constant(bias, np.float32))
                if len(layer.features) == 3:
                    x = self.add("Reshape", x, self.constant([-1, *layer.features], np.int64))
                    x, image = self.add("Transpose", x, perm=[0, 3, 1, 2]), True
            else:
                x = self.convolution(x, layer, kernel, bias)
            if layer.activation != "linear":
                slope: dict[str, Any] = {"alpha": 0.1} if layer.activation == "lrelu" else {}
                x = self.add(_ACTIVATIONS[layer.activation], x, **slope)
        return x, image

    def convolution(self, x: str, layer: Layer, kernel: np.ndarray, bias: np.ndarray) -> str:
        bias_name = self.constant(bias, np.float32)
        options: dict[str, Any] = {"strides": [layer.stride] * 2, "kernel_shape": [KERNEL_SIZE] * 2}
        if layer.kind == "conv":
            weights = self.constant(kernel.transpose(3, 2, 0, 1), np.float32)
            return self.add("Conv", x, weights, bias_name, auto_pad="SAME_UPPER", **options)
        weights = self.constant(kernel.transpose(2, 3, 0, 1), np.float32)
        # What reaches over the edges of stride * h x stride * w pixels.
        over = KERNEL_SIZE - layer.stride
        before, after = over // 2, over - over // 2
        return self.add(
            "ConvTranspose", x, weights, bias_name, pads=[before, before, after, after], **options
        )

    def flattened(self, x: str) -> str:
        """[n, c, h, w] to [n, h w c]."""
        x = self.add("Transpose", x, perm=[0, 2, 3, 1])
        return self.add("Flatten", x, axis=1)

    def graph(self, name: str, inputs: list[Any], outputs: list[Any]) -> Any:
        import onnx

        return onnx.helper.make_graph(self.nodes, name, inputs, outputs, initializer=self.constants)


def _value(name: str, kind: str, *shape: int) -> Any:
    import onnx

    dtype = {"float": onnx.TensorProto.FLOAT, "int": onnx.TensorProto.INT32}[kind]
    return onnx.helper.make_tensor_value_info(name, dtype, ["n", *shape])


def _generator_graph(config: InfoGANConfig, variables: dict[str, Any]) -> Any:
    codes, g = config.codes, _Nodes()
    inputs, parts = [], []
    if codes.noise_dim:
        inputs.append(_value("noise", "float", codes.noise_dim))
        parts.append("noise")
    columns = g.constant([1], np.int64)
    for name, code in codes.named.items():
        if isinstance(code, Categorical):
            inputs.append(_value(name, "int"))
            # One-hot as a look-up: runtimes differ in the types that OneHot takes.
            parts.append(g.add("Gather", g.constant(np.eye(code.categories), np.float32), name))
        else:
            inputs.append(_value(name, "float"))
            parts.append(g.add("Unsqueeze", name, columns))
    x = g.add("Concat", *parts, axis=1)
    stats = variables["batch_stats"].get("table", {})
    maps = folded(config.networks.generator, variables["params"]["table"], stats)
    x, _ = g.rows(x, maps, image=False)
    g.add("Transpose", x, output="images", perm=[0, 2, 3, 1])
    return g.graph("generator", inputs, [_value("images", "float", *config.networks.image_shape)])


def _reader_graph(config: InfoGANConfig, variables: dict[str, Any]) -> Any:
    params, stats, g = variables["params"], variables["batch_stats"], _Nodes()
    x, image = g.add("Transpose", "images", perm=[0, 3, 1, 2]), True
    for name, rows in (("trunk", config.networks.trunk), ("q_head", config.networks.q_head)):
        x, image = g.rows(x, folded(rows, params.get(name, {}), stats.get(name, {})), image=image)
        if image:
            x, image = g.flattened(x), False
    outputs = []
    last = params.get("q_output")
    if last:
        x = g.add("Gemm", x, g.constant(last["kernel"], np.float32), g.constant(last["bias"], np.float32))
    start, axis = 0, g.constant([1], np.int64)
    for name, code in config.codes.named.items():
        # Of a continuous code the mean, which comes first.
        width = code.posterior_dim if isinstance(code, Categorical) else 1
        ends = (g.constant([at], np.int64) for at in (start, start + width))
        part = g.add("Slice", x, *ends, axis)
        if isinstance(code, Categorical):
            part = g.add("ArgMax", part, axis=1, keepdims=0)
            g.add("Cast", part, output=name, to=_INT32)
        elif isinstance(code, Bernoulli):
            part = g.add("Squeeze", g.add("Greater", part, g.constant([0], np.float32)), axis)
            g.add("Cast", part, output=name, to=_INT32)
        else:
            g.add("Squeeze", part, axis, output=name)
        outputs.append(_value(name, "int" if isinstance(code, Categorical | Bernoulli) else "float"))
        start += code.posterior_dim
    return g.graph("codes", [_value("images", "float", *config.networks.image_shape)], outputs)


_INT32 = 6
"""`onnx.TensorProto.INT32`."""
