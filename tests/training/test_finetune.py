# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make torch)")

from torch.nn.utils.parametrize import is_parametrized  # noqa: E402

from models import km, training  # noqa: E402
from models.network import INPUT  # noqa: E402
from models.training import fit, networks  # noqa: E402
from models.training.finetune import fine_tune, rounded  # noqa: E402
from models.training.quantise import quantise  # noqa: E402
from tests.training.test_quantise import bars  # noqa: E402


@pytest.fixture(scope="module")
def pruned():
    """A resnet8 of 2/4 and the images that it was trained on."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    model, train = networks.resnet8(1, 8), bars(512)
    fit.fit(model, train, 25, 0.05, 1, flip=False)
    masks = training.attach(model, 2, 4)
    masks.finish()
    fit.fit(model, train, 8, 0.02, 2, flip=False)
    return model, train


def logits(network, images):
    last = network.nodes[-1]
    return network.run({INPUT: images.numpy()})[last.name][:, :, 0, 0] * last.scale


def test_rounded_computes_as_the_integers_do(pruned):
    model, (images, _) = pruned
    network = quantise(model, images, fit.images_of)
    with torch.inference_mode():
        wanted = rounded(model, images)(fit.images_of(images)).numpy()
    steps = np.abs(logits(network, images) - wanted) / network.nodes[-1].scale
    assert steps.mean() < 0.2 and steps.max() < 4


def test_fine_tuning_lowers_the_loss_of_the_integers(pruned):
    model, train = pruned
    tuned = fine_tune(model, train, 20, 3, flip=False)
    assert is_parametrized(model.blocks[0].body[0], "weight"), "the model is left as it is"
    before, after = (quantise(each, train[0], fit.images_of) for each in (model, tuned))
    for node in [node for node in after.nodes if node.op == "conv"][1:-1]:
        km.check(node.weights, 2, 4, 0)
    losses = [
        torch.nn.functional.cross_entropy(torch.from_numpy(logits(network, train[0])), train[1]).item()
        for network in (before, after)
    ]
    assert losses[1] < losses[0]
