# SPDX-License-Identifier: Apache-2.0
"""`make network` as a user meets it: networks in one run of the core, from inputs to outputs and a report."""

import numpy as np
import onnx
import onnxruntime
from typer.testing import CliRunner

from models.importer.passes import bring
from tests.importer.graphs import scene, scenes
from verif.host.cli.__main__ import app
from verif.shared.paths import BUILD, ROOT

MODEL = ROOT / "tests" / "importer" / "foreign" / "squeezenet.onnx"


def called(**options):
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return CliRunner().invoke(app, ["network", *arguments])


def inputs(count):
    return np.random.default_rng(1).normal(size=(count, 3, 24, 24)).astype(np.float32)


def judged(names):
    """Tensors of the model by ONNX Runtime."""
    model = onnx.load(MODEL)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name != "classes")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return dict(zip(names, session.run(names, {"images": inputs(2)}), strict=True))


def near(found, wanted):
    return found.shape == wanted.shape and np.sqrt(np.square(found - wanted).mean() / np.square(wanted).mean()) < 0.1


def test_runs_on_the_core(tmp_path):
    """Every tensor comes back from the core under its name in the file."""
    np.save(tmp_path / "x.npy", inputs(2))
    done = called(onnx=MODEL, inputs=tmp_path / "x.npy", out=tmp_path / "y.npz", config="small", check="all")
    assert done.exit_code == 0, done.output
    assert "equal to the integer network: " in done.output and "report: build/network/squeezenet-small" in done.output
    assert "output classes: " in done.output and "of 2 inputs" in done.output
    with np.load(tmp_path / "y.npz") as found:
        assert found["cycles"] > 0 and found["classes"].dtype == np.float32
        names = [name for name in found if name != "cycles"]
        assert len(names) > 15
        for name, wanted in judged(names).items():
            assert near(found[name], wanted), name
    report = (BUILD / "network" / "squeezenet-small.html").read_text()
    assert "Measured on the RTL" in report and report.count("<svg") == 2


def test_names_of_outputs(tmp_path):
    """Whatever they are they come back; but for the one under which OUT has the cycles."""
    model = onnx.load(MODEL)
    for name, expected in (("file", 0), ("cycles", 1)):
        for node in model.graph.node:
            node.output[:] = [name if output == model.graph.output[0].name else output for output in node.output]
        model.graph.output[0].name = name
        onnx.save(model, tmp_path / "m.onnx")
        np.save(tmp_path / "x.npy", inputs(1))
        done = called(onnx=tmp_path / "m.onnx", inputs=tmp_path / "x.npy", out=tmp_path / "y.npz", config="small")
        assert done.exit_code == expected, done.output
    assert "an output is called 'cycles', as the cycles in OUT are" in done.output
    with np.load(tmp_path / "y.npz") as found:
        assert sorted(found) == ["cycles", "file"] and found["file"].shape == (1, 10)


def test_until_a_node(tmp_path):
    np.save(tmp_path / "x.npy", inputs(2))
    node = next(node for node in onnx.load(MODEL).graph.node if node.op_type == "MaxPool")
    done = called(onnx=MODEL, inputs=tmp_path / "x.npy", out=tmp_path / "y.npz", config="small", until=node.name)
    assert done.exit_code == 0 and f"output {node.output[0]}: " in done.output, done.output
    with np.load(tmp_path / "y.npz") as found:
        assert set(found) == {node.output[0], "cycles"}
        assert near(found[node.output[0]], judged([node.output[0]])[node.output[0]])


def test_several_inputs_and_outputs(tmp_path):
    """A picture and a depth that meet, and a map that is read late, in batches of two: what the core has sent is the
    integer network's, every tensor is near ONNX Runtime's."""
    given, calibration = scenes(4, seed=5), scenes(16)
    onnx.save(scene(), tmp_path / "scene.onnx")
    np.savez(tmp_path / "x.npz", **given)
    np.savez(tmp_path / "calibration.npz", **calibration)
    files = {"inputs": tmp_path / "x.npz", "calib": tmp_path / "calibration.npz", "out": tmp_path / "y.npz"}
    done = called(onnx=tmp_path / "scene.onnx", **files, config="small", batch=2, check="all")
    assert done.exit_code == 0, done.output
    assert "unused: input mask: no output depends on it" in done.output
    expected = bring(tmp_path / "scene.onnx", calibration)
    tensors = expected.tensors(expected.network.run(expected.prepare(given)))
    with np.load(tmp_path / "y.npz") as found:
        assert {"classes", "features", "both", "pooled", "cycles"} <= set(found)
        for name, wanted in (tensors | expected.run(given)).items():
            np.testing.assert_array_equal(found[name], wanted)
        for name, wanted in expected.original(given).items():
            assert near(found[name], wanted), name
    assert "picture" in (BUILD / "network" / "scene-small.html").read_text()


def test_the_trained_network():
    """From test images to classes: those of the integer model."""
    done = called(config="small", images=4, batch=2)
    assert done.exit_code == 0, done.output
    assert "accuracy over 4 test images of Fashion-MNIST: float 100.0%, int8 100.0%, RTL 100.0%" in done.output
    assert "classes of the RTL are the int8 model's for 4 of 4 images" in done.output


def test_bad_input_in_one_line(tmp_path):
    np.save(tmp_path / "x.npy", inputs(3))
    np.save(tmp_path / "wrong.npy", inputs(1)[:, :, 1:])
    np.savez(tmp_path / "other.npz", image=inputs(1))
    np.savez(tmp_path / "short.npz", picture=scenes(2)["picture"])
    onnx.save(scene(), tmp_path / "scene.onnx")
    several = {"onnx": tmp_path / "scene.onnx", "config": "small"}
    good = {"onnx": MODEL, "inputs": tmp_path / "x.npy", "config": "small"}
    for options, text in (
        ({"npz": "a.npz"} | good, "expected one of them"),
        ({"onnx": MODEL}, "INPUT is empty, expected inputs"),
        (good | {"out": tmp_path / "x.npy"}, "OUT is INPUT itself, expected another file"),
        (good | {"out": tmp_path / "no" / "y.npz"}, "no does not exist"),
        (
            good | {"inputs": tmp_path / "wrong.npy"},
            "INPUT: input images: shape (1, 3, 23, 24), expected (N, 3, 24, 24)",
        ),
        (good | {"calib": tmp_path / "wrong.npy"}, "CALIB: input images: shape (1, 3, 23, 24), expected"),
        (
            good | {"inputs": tmp_path / "other.npz"},
            "INPUT: image: no input of the network has that name, expected images",
        ),
        (
            several | {"inputs": tmp_path / "x.npy"},
            "INPUT: one array for 3 inputs, expected an NPZ file of picture uint8",
        ),
        (several | {"inputs": tmp_path / "short.npz"}, "INPUT: input depth: no array among picture, expected float32"),
        (good | {"batch": 2}, "BATCH: 2, expected a divisor of the number of inputs, 3"),
        (good | {"check": "some"}, "CHECK: 'some', expected one of lines, all"),
        (good | {"until": "nowhere"}, "nowhere: no such node, expected one of "),
        ({"inputs": tmp_path / "x.npy"}, "INPUT: expected with a network: make network ONNX=model.onnx INPUT=x.npy"),
        ({"images": 500}, "IMAGES: 500, expected 1 to 200"),
        ({"images": 3, "batch": 2}, "BATCH: 2, expected a divisor of the number of images, 3"),
    ):
        done = called(**options)
        assert done.exit_code == 1 and text in done.output and done.output.count("\n") <= 3, done.output
