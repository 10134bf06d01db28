# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make torch)")

from torch import nn  # noqa: E402

from models import km, training  # noqa: E402
from models.training.pruning import WHOLE, km_mask, prunable  # noqa: E402
from models.training.schedules import iterative, one_shot  # noqa: E402


def model():
    """Convolutions: a stem, a prunable one whose 6 outputs are no multiple of 4, a depthwise one; and a classifier."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


@pytest.mark.parametrize("k,m", km.MODES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_mask_equals_project(k, m, dtype, rng):
    for shape, d in (((37,), 0), ((32, 3, 3, 3), 0), ((18, 5, 3, 1), 0), ((5, 18, 2, 2), 1), ((3, 4, 2, 33), 3)):
        # Few different magnitudes, so that equal ones and zeros meet in a group.
        tensor = rng.integers(-128 if dtype == np.int8 else -3, 4, shape).astype(dtype)
        if dtype != np.int8 and rng.random() < 0.5:
            tensor = rng.standard_normal(shape).astype(dtype)
        found = torch.where(km_mask(torch.from_numpy(tensor), k, m, d), torch.from_numpy(tensor), 0).numpy()
        wanted = km.project(tensor, k, m, d)
        assert found.dtype == wanted.dtype and found.tobytes() == np.ascontiguousarray(wanted).tobytes()


@pytest.mark.parametrize("k,m", [(3, 4), (6, 8), (3, 8), (1, 8), (2, 16), (5, 5)])
def test_any_k_against_a_loop(k, m, rng):
    tensor = rng.standard_normal((22, 3)).astype(np.float32)
    mask = km_mask(torch.from_numpy(tensor), k, m).numpy()
    for start in range(0, 22, m):
        for column in range(3):
            group = np.abs(tensor[start : start + m, column])
            kept = sorted(range(len(group)), key=lambda i: -group[i])[:k]
            assert np.flatnonzero(mask[start : start + m, column]).tolist() == sorted(kept)


def test_against_torch_ao():
    """Its blocks of 1x4 along the input with 2 zeros are 2/4 along d = 1, unless magnitudes are equal."""
    from torch.ao.pruning import WeightNormSparsifier

    torch.manual_seed(0)
    linear = nn.Sequential(nn.Linear(64, 12, bias=False))
    weight = linear[0].weight.detach().clone()
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(linear, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    assert torch.equal(linear[0].parametrizations.weight[0].mask.bool(), km_mask(weight, 2, 4, 1))


def test_the_whole_tensor_as_a_group():
    mask = km_mask(torch.tensor([[1.0, -9.0, 3.0], [2.0, 0.5, -4.0]]), 8, 16, WHOLE)
    assert mask.tolist() == [[False, True, True], [False, False, True]]


def test_default_layers_leave_first_depthwise_and_classifier():
    assert prunable(model()) == ["2"]


def test_two_lines():
    network = model()
    masks = training.attach(network, 2, 4)
    kept = []
    training.prune(masks, lambda: kept.append(masks.modes["2"]))
    assert kept == [(3, 4), (2, 4)]
    training.finalise(network)
    assert type(network[2].weight) is nn.Parameter
    km.check(network[2].weight.detach().numpy(), 2, 4, 0)
    assert (network[0].weight != 0).all() and (network[6].weight != 0).all()


def test_what_was_removed_stays_removed_and_gets_no_gradient():
    network = model()
    masks = training.attach(network, 1, 4)
    masks.step()
    removed = ~network[2].parametrizations.weight[0].mask
    network(torch.rand(2, 1, 7, 7)).sum().backward()
    original = network[2].parametrizations.weight.original
    assert (original.grad[removed] == 0).all() and (original.grad[~removed] != 0).any()
    with torch.no_grad():
        original[removed] = 100.0  # larger than all, but gone
    masks.step()
    assert (network[2].weight[removed] == 0).all()
    assert masks.modes == {"2": (2, 4)}


def test_sr_ste_reaches_removed_weights():
    network = model()
    masks = training.attach(network, 2, 4, sr_ste=True)
    masks.finish()
    network.train()
    network(torch.rand(2, 1, 7, 7)).sum().backward()
    original, parametrization = network[2].parametrizations.weight.original, network[2].parametrizations.weight[0]
    removed = ~parametrization.mask
    assert removed.any() and (original.grad[removed] != 0).any()
    with torch.no_grad():
        original[removed] = 100.0
    km.check(network[2].weight.detach().numpy(), 2, 4, 0)
    assert (network[2].weight[removed] == 100).any()  # the mask followed


def test_table_of_layers_and_ragged_sparsity():
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 6, 1), nn.Conv2d(6, 8, 1))
    masks = training.attach(network, layers={"1": (2, 4), "2": (1, 8)}, core=False)
    assert masks.steps == 7
    masks.finish()
    # Of 6 outputs the groups of 4 keep 2 and 2; of 8 one.
    assert masks.sparsity == pytest.approx(1 - (4 * 4 + 6) / (6 * 4 + 8 * 6))


@pytest.mark.parametrize("schedule,changes", [(iterative, [0, 20, 40]), (one_shot, [0])])
def test_schedules(schedule, changes):
    masks = training.attach(model(), 1, 4)
    before, seen, last = schedule(masks, 100), [], 4
    for step in range(100):
        before(step)
        if masks.modes["2"][0] != last:
            seen.append(step)
            last = masks.modes["2"][0]
    assert seen == changes and last == 1


@pytest.mark.parametrize(
    "options,message",
    [
        ({"k": 5, "m": 4}, "k/m 5/4, expected 1 <= k <= m"),
        ({"k": 3, "m": 8}, "layer '2': k/m: 3/8 is not a mode of the core, expected one of 1/1, .*core=False"),
        ({"layers": ["9"]}, "layer '9' is unknown, expected one of 0, 1"),
        ({"layers": ["1"]}, "layer '1': a ReLU has no weight"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        training.attach(model(), **options)


def test_more_errors():
    with pytest.raises(ValueError, match="no layer to prune"):
        training.attach(nn.Sequential(nn.Linear(3, 3)))
    network = model()
    training.attach(network)
    with pytest.raises(ValueError, match="layer '2': its weight is parametrized already"):
        training.attach(network)
    with pytest.raises(ValueError, match="NaN"):
        km_mask(torch.tensor([1.0, float("nan")]), 1, 2)
