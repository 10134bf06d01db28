# SPDX-License-Identifier: Apache-2.0
from itertools import permutations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make torch)")

from torch import nn  # noqa: E402

from models import km, training  # noqa: E402
from models.training import networks  # noqa: E402
from models.training.permute import best_order, kept, permute  # noqa: E402


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(7)
    torch.set_num_threads(1)


def used(model):
    """The model with normalisations as after some training: no two channels alike."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 2)
            for tensor in (module.running_mean, module.bias.data):
                tensor.uniform_(-1, 1)
    return model.eval()


@pytest.mark.parametrize("name", ["plain_cnn", "resnet8", "resnet18"])
def test_the_network_computes_the_same(name):
    model, images = used(networks.NETWORKS[name](1, 8)), torch.rand(3, 1, 28, 28)
    with torch.inference_mode():
        wanted = model(images)
        weights = [module.weight.clone() for module in model.modules() if isinstance(module, nn.Conv2d)]
    before, after = permute(model, 2, 4)
    assert after > before
    with torch.inference_mode():
        torch.testing.assert_close(model(images), wanted, rtol=1e-4, atol=1e-5)
    moved = [module.weight for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert any(not torch.equal(*pair) for pair in zip(weights, moved, strict=True))


@pytest.mark.parametrize("k,m,channels", [(1, 2, 4), (2, 4, 8), (1, 4, 6)])
def test_order_against_all_orders(k, m, channels):
    """Swaps find an order near the best of all, and never one that keeps less than the given one."""
    magnitude = torch.rand(channels, 5)
    found = kept(magnitude[best_order(magnitude, k, m)], k, m)
    every = [kept(magnitude[list(order)], k, m) for order in permutations(range(channels))]
    assert kept(magnitude, k, m) <= found <= max(every) + 1e-5
    assert found >= max(every) * 0.97


@pytest.mark.parametrize("k,m", [(2, 4), (1, 4), (4, 16)])
def test_kept_is_what_the_projection_keeps(k, m):
    weights = torch.rand(22, 9)
    wanted = np.abs(km.project(weights.numpy(), k, m, 0)).sum()
    assert kept(weights, k, m) == pytest.approx(wanted, rel=1e-5)


def test_groups_keep_their_order():
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 4, 3)
    ).eval()
    weights = [module.weight.clone() for module in model if isinstance(module, nn.Conv2d)]
    permute(model, 2, 4, ["0", "2", "4"])
    assert all(torch.equal(old, model[2 * i].weight) for i, old in enumerate(weights))


def test_a_masked_model_is_refused():
    model = networks.resnet8(1, 8)
    training.attach(model, 2, 4)
    with pytest.raises(ValueError, match="before attach"):
        permute(model, 2, 4)
