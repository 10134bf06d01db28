# SPDX-License-Identifier: Apache-2.0
"""Random graphs: after every pass they calculate what ONNX Runtime does (`bring` compares), and what cannot be
expressed is refused in one line."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from hypothesis import HealthCheck, assume, given, seed, settings
from hypothesis import strategies as st
from onnx import helper

from models.importer.passes import bring
from tests.importer.graphs import OPSET, model
from tests.importer.quantiser import FORMS, quantise
from verif.host.runner.run import default_seed

IMAGES = 6


class Drawn:
    """A graph that grows by drawn operators; inputs, tensors: (C, H, W) by name, what is given and what can be read."""

    def __init__(self, draw):
        self.draw, self.nodes, self.constants = draw, [], {}
        self.inputs = {"x": self.shape()}
        for name in draw(st.sampled_from(([], ["x1"], ["x1", "x2"]))):
            self.inputs[name] = draw(st.sampled_from((self.inputs["x"], self.shape())))
        self.tensors = dict(self.inputs)
        self.rng = np.random.default_rng(draw(st.integers(0, 2**31)))
        for _ in range(draw(st.integers(1, 7))):
            tensor = draw(st.sampled_from(sorted(self.tensors)))
            kind = draw(st.sampled_from(KINDS))
            getattr(self, kind)(tensor, *self.tensors[tensor])

    def __repr__(self):
        texts = (
            f"{n.output[0]} = {n.op_type}({', '.join(n.input)}"
            + "".join(f", {a.name}={helper.get_attribute_value(a)}" for a in n.attribute)
            + ")"
            for n in self.nodes
        )
        return "\n".join([f"{self.inputs}", *texts])

    def shape(self):
        return tuple(self.draw(st.integers(*bounds)) for bounds in ((1, 6), (4, 9), (4, 9)))

    def images(self):
        """Inputs, IMAGES of each, some without negative values."""
        found = {name: self.rng.standard_normal((IMAGES, *shape)) for name, shape in self.inputs.items()}
        return {
            name: (np.abs(values) if self.rng.random() < 0.3 else values).astype(np.float32)
            for name, values in found.items()
        }

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def floats(self, *shape, scale=1.0, shift=0.0):
        return self.constant((self.rng.standard_normal(shape) * scale + shift).astype(np.float32))

    def node(self, operator, inputs, shape, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"{operator.lower()}{name}", **attributes))
        self.tensors[name] = shape
        return name

    def window(self, h, w, most=4):
        kernel = [self.draw(st.integers(1, min(most, size))) for size in (h, w)]
        strides = [self.draw(st.integers(1, 3)) for _ in range(2)]
        pads = [self.draw(st.integers(0, kernel[n % 2] - 1)) for n in range(4)]
        sizes = [(size + pads[n] + pads[n + 2] - kernel[n]) // strides[n] + 1 for n, size in enumerate((h, w))]
        return {"kernel_shape": kernel, "strides": strides, "pads": pads}, sizes

    def conv(self, tensor, c, h, w):
        attributes, sizes = self.window(h, w)
        groups = self.draw(st.sampled_from([n for n in (1, 2, 3, c) if c % n == 0]))
        k = groups * self.draw(st.integers(1, 4))
        weights = self.floats(k, c // groups, *attributes["kernel_shape"], scale=(c // groups * 4) ** -0.5)
        inputs = [tensor, weights, *([self.floats(k, scale=0.3)] if self.draw(st.booleans()) else [])]
        self.node("Conv", inputs, (k, *sizes), group=groups, **attributes)

    def same(self, tensor, c, h, w):
        """A convolution that keeps the shape, and the sum with its input."""
        weights = self.floats(c, c, 3, 3, scale=(9 * c) ** -0.5)
        made = self.node("Conv", [tensor, weights], (c, h, w), pads=(1, 1, 1, 1))
        self.node("Add", self.draw(st.permutations([made, tensor])), (c, h, w))

    def max_pool(self, tensor, c, h, w):
        attributes, sizes = self.window(h, w, 3)
        self.node("MaxPool", [tensor], (c, *sizes), **attributes)

    def mean_pool(self, tensor, c, h, w):
        attributes, sizes = self.window(h, w, 3)
        self.node("AveragePool", [tensor], (c, *sizes), count_include_pad=self.draw(st.integers(0, 1)), **attributes)

    def whole_pool(self, tensor, c, h, w):
        self.node(self.draw(st.sampled_from(["GlobalAveragePool", "GlobalMaxPool"])), [tensor], (c, 1, 1))

    def relu(self, tensor, *shape):
        self.node("Relu", [tensor], shape)

    def clip(self, tensor, *shape):
        low = self.draw(st.sampled_from([0.0, -0.5]))
        self.node("Clip", [tensor, self.constant(np.float32(low)), self.constant(np.float32(1.5))], shape)

    def norm(self, tensor, c, h, w):
        mean, gain = self.floats(c, scale=0.3), self.floats(c, scale=0.2, shift=1)
        variance = self.constant(self.rng.uniform(0.5, 2, c).astype(np.float32))
        self.node("BatchNormalization", [tensor, gain, mean, mean, variance], (c, h, w))

    def affine(self, tensor, c, h, w):
        value = self.constant(self.rng.uniform(0.5, 2, (c, 1, 1)).astype(np.float32))
        self.node(self.draw(st.sampled_from(["Mul", "Add", "Sub", "Div"])), [tensor, value], (c, h, w))

    def sum(self, tensor, *shape):
        others = sorted(name for name, other in self.tensors.items() if other == shape)
        self.node("Add", [tensor, self.draw(st.sampled_from(others))], shape)

    def concat(self, tensor, c, h, w):
        others = sorted(name for name, other in self.tensors.items() if other[1:] == (h, w))
        chosen = [tensor, *self.draw(st.lists(st.sampled_from(others), min_size=1, max_size=2))]
        whole = sum(self.tensors[name][0] for name in chosen)
        if whole <= 24:
            self.node("Concat", chosen, (whole, h, w), axis=1)

    def pad(self, tensor, c, h, w):
        before, after = ([self.draw(st.integers(0, 2)) for _ in range(3)] for _ in range(2))
        sizes = [size + a + b for size, a, b in zip((c, h, w), before, after, strict=True)]
        self.node("Pad", [tensor, self.constant(np.array([0, *before, 0, *after]))], tuple(sizes))

    def identity(self, tensor, *shape):
        self.node(self.draw(st.sampled_from(["Identity", "Dropout"])), [tensor], shape)

    def classifier(self, tensor, c, h, w):
        flat = f"f{len(self.nodes)}"
        self.nodes.append(helper.make_node("Flatten", [tensor], [flat], name=flat))
        k = self.draw(st.integers(1, 10))
        weights = self.floats(k, c * h * w, scale=(c * h * w) ** -0.5)
        made = self.node("Gemm", [flat, weights, self.floats(k)], None, transB=1)
        del self.tensors[made]
        self.node("Relu", [made], None)
        del self.tensors[f"t{len(self.nodes) - 1}"]

    def outputs(self):
        """What nothing reads."""
        read = {name for node in self.nodes for name in node.input}
        return [name for node in self.nodes for name in node.output if name not in read]


KINDS = [
    name
    for name in vars(Drawn)
    if name not in ("constant", "floats", "images", "node", "outputs", "shape", "window") and not name.startswith("_")
]


@st.composite
def graphs(draw):
    return Drawn(draw)


def model_of(drawn):
    assume(drawn.nodes)
    shapes = {name: ("n", *shape) for name, shape in drawn.inputs.items()}
    return model(drawn.nodes, shapes, " ".join(drawn.outputs()), OPSET, **drawn.constants)


def check(made, images):
    """What comes out of the integer network is near ONNX Runtime's; what is refused is so in one line."""
    try:
        found = bring(made, images)
    except ValueError as error:
        assert "\n" not in str(error)
        assert "supported: " in str(error) or "no layer for the core" in str(error), error
        return
    given, wanted = found.run(images), found.original(images)
    for name, value in wanted.items():
        size = np.sqrt(np.square(value).mean())
        assert given[name].shape == value.shape
        assert np.sqrt(np.square(given[name] - value).mean()) <= 0.25 * max(size, 0.1), name


def random(examples):
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@seed(default_seed())
@random(30)
@given(graphs())
def test_random_graphs(drawn):
    check(model_of(drawn), drawn.images())


@seed(default_seed())
@random(12)
@given(graphs(), st.sampled_from(FORMS))
def test_random_quantised_graphs(drawn, form):
    """As ONNX Runtime's quantiser writes them."""
    images = drawn.images()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "quantised.onnx"
        onnx.save(model_of(drawn), source)
        quantise(
            source, target, form, [{name: array[n : n + 1] for name, array in images.items()} for n in range(IMAGES)]
        )
        check(onnx.load(target), images)
