# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make torch)")

from torch import nn  # noqa: E402

from models import km, training  # noqa: E402
from models.network import INPUT  # noqa: E402
from models.scales import fixed_point  # noqa: E402
from models.training import fit, networks  # noqa: E402
from models.training.export import float_onnx  # noqa: E402
from models.training.quantise import quantise  # noqa: E402


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(3)
    torch.set_num_threads(1)


def bars(n, size=28):
    """Images of one bright row or column among noise; the class says which of ten."""
    generator = torch.Generator().manual_seed(n)
    images = torch.randint(0, 60, (n, 1, size, size), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (n,), generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        place = 4 + 4 * (label % 5)
        (image[0, place] if label < 5 else image[0, :, place])[:] = 220
    return images, labels


@pytest.mark.parametrize("name", ["plain_cnn", "resnet8", "resnet18"])
def test_integer_network_follows_the_float_one(name):
    model = networks.NETWORKS[name](1, 8)
    fit.fit(model, bars(512), 12, 0.05, 1, flip=False)
    masks = training.attach(model, 2, 4)
    masks.finish()
    fit.fit(model, bars(512), 4, 0.02, 2, flip=False)
    images, _ = bars(100)
    network = quantise(model, images, fit.images_of)
    model.eval()
    with torch.inference_mode():
        wanted = model(fit.images_of(images)).numpy()
    last = network.nodes[-1]
    found = network.run({INPUT: images.numpy()})[last.name][:, :, 0, 0] * last.scale
    assert np.abs(found - wanted).mean() < 0.05 * np.abs(wanted).max()
    pruned = [node for node in network.nodes if node.op == "conv"][1:-1]
    assert any((node.k, node.m) == (2, 4) for node in pruned)
    for node in network.nodes:
        if node.op == "conv":
            km.check(node.weights, node.k, node.m, 0)
            assert node.multiplier.min() >= 2**30
    # The masks are still on the model: quantising works on a copy.
    assert masks.sparsity == pytest.approx(0.5, abs=0.01)


def test_residuals_are_fused():
    network = quantise(networks.resnet8(1, 8), bars(8)[0], fit.images_of)
    fused = [node for node in network.nodes if node.residual is not None]
    assert len(fused) == 3 and all(node.clamp == (0, 255) for node in fused)
    names = [INPUT, *(node.name for node in network.nodes)]
    for node in network.nodes:
        for read in (node.source, node.residual):
            assert read is None or names.index(read) < names.index(node.name)
    assert {node.op for node in network.nodes} == {"conv", "sum_pool"}


def test_a_classifier_behind_a_plane():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 13 * 13, 10))
    images, _ = bars(40)
    network = quantise(model, images, fit.images_of)
    assert network.nodes[-1].weights.shape == (10, 4, 13, 13)
    with torch.inference_mode():
        wanted = model(fit.images_of(images)).numpy()
    found = network.run({INPUT: images.numpy()})[network.nodes[-1].name][:, :, 0, 0] * network.nodes[-1].scale
    np.testing.assert_allclose(found, wanted, atol=0.03)


def test_groups():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 8, 3, groups=4), nn.ReLU(), nn.Conv2d(8, 6, 11)
    )
    images, _ = bars(40)
    network = quantise(model, images, fit.images_of)
    assert [node.groups for node in network.nodes] == [1, 4, 1] and network.nodes[1].weights.shape == (8, 1, 3, 3)
    with torch.inference_mode():
        wanted = model(fit.images_of(images)).numpy()
    found = network.run({INPUT: images.numpy()})[network.nodes[-1].name] * network.nodes[-1].scale
    np.testing.assert_allclose(found, wanted, atol=0.03)


class Addition(nn.Module):
    def forward(self, x):
        return torch.relu(x) + x


@pytest.mark.parametrize(
    "model,message",
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Sigmoid()), "_1: Sigmoid is not supported"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, dilation=2)), "_1: dilation and padding"),
        (nn.Sequential(nn.MaxPool2d(2), nn.ReLU()), "_1: ReLU of anything but a convolution's result"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "_0: adaptive pooling to 2"),
    ],
)
def test_refusals_name_the_node(model, message):
    with pytest.raises(ValueError, match=message):
        quantise(model, bars(4)[0], fit.images_of)


def test_fixed_point():
    ratios = np.array([0.75, 1.0, 1e-3, 2.0**-40, 3.99])
    multiplier, shift = fixed_point(ratios)
    np.testing.assert_allclose(multiplier / 2.0**shift, ratios, rtol=2**-30)
    assert multiplier.dtype == shift.dtype == np.int32 and shift.max() <= 62
    with pytest.raises(ValueError, match="expected below 2\\^22"):
        fixed_point(2.0**23)


def test_float_onnx():
    onnxruntime = pytest.importorskip("onnxruntime")
    model = networks.resnet8(1, 8)
    fit.fit(model, bars(256), 3, 0.05, 1, flip=False)
    training.attach(model, 1, 4).finish()
    images = fit.images_of(bars(5)[0])
    session = onnxruntime.InferenceSession(float_onnx(model, (1, 28, 28)), providers=["CPUExecutionProvider"])
    model.eval()
    with torch.inference_mode():
        wanted = model(images).numpy()
    np.testing.assert_allclose(session.run(None, {"image": images.numpy()})[0], wanted, rtol=1e-3, atol=1e-4)


def test_a_rate_too_high_ends_in_one_line():
    with pytest.raises(RuntimeError, match="lower the rate"):
        fit.fit(networks.plain_cnn(1, 8), bars(256), 40, 1e20, 1)


def test_training_learns():
    model = networks.plain_cnn(1, 8)
    before = fit.accuracy(model, bars(300))
    fit.fit(model, bars(1024), 60, 0.05, 1, flip=False)
    assert fit.accuracy(model, bars(300)) > max(0.5, before + 0.2)
