# SPDX-License-Identifier: Apache-2.0
"""k/m masks on the weights of a torch model, as parametrizations.

A group is m consecutive elements of a weight along dimension d: 0 is the output depth, 1 the input depth. ``WHOLE``
as d makes one group of the whole flattened weight, which is unstructured pruning of a layer. Any 1 <= k <= m can be
trained, with ``core=False``; what the core runs are the modes of ``models.km`` along d = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models import km

WHOLE = None


def km_mask(tensor: Tensor, k: int, m: int, d: int | None = 0) -> Tensor:
    """True where an element is one of the k largest magnitudes of its group of m along d; bool, the tensor's shape.

    With d = WHOLE the share k/m of the whole tensor is kept. Of equal magnitudes the lower index is kept, and the last
    group may be shorter than m: ``models.km.project`` keeps the same elements.
    Raises ValueError unless 1 <= k <= m and for a tensor that holds NaN.
    """
    if not 1 <= k <= m:
        raise ValueError(f"k/m: {k}/{m}, expected 1 <= k <= m")
    if tensor.isnan().any():
        raise ValueError(f"weights: NaN in a tensor of shape {tuple(tensor.shape)}; was the training's rate too high?")
    if d is WHOLE:
        size = tensor.numel()
        return km_mask(tensor.flatten(), max(1, round(size * k / m)), size, 0).view(tensor.shape)
    exact = torch.float64 if tensor.is_floating_point() else torch.int64
    magnitude = tensor.detach().to(exact).abs().movedim(d, -1)
    size = magnitude.shape[-1]
    groups = nn.functional.pad(magnitude, (0, -size % m)).unflatten(-1, (-1, m))
    order = groups.argsort(dim=-1, descending=True, stable=True)
    keep = torch.zeros_like(groups, dtype=torch.bool).scatter_(-1, order[..., :k], True)
    return keep.flatten(-2)[..., :size].movedim(-1, d).contiguous()


class _Hard(nn.Module):
    """Weights outside the mask are 0 and receive no gradient."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        return torch.where(self.mask, weight, 0)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight, mask, decay):
        ctx.save_for_backward(weight, mask)
        ctx.decay = decay
        return torch.where(mask, weight, 0)

    @staticmethod
    def backward(ctx, gradient):
        weight, mask = ctx.saved_tensors
        return gradient + ctx.decay * torch.where(mask, 0, weight), None, None


class _SrSte(nn.Module):
    """SR-STE (Zhou et al., ICLR 2021): the mask follows the dense weights at every step, gradients reach all of them,
    and the masked ones decay towards 0."""

    DECAY = 2e-4

    def __init__(self, weight: Tensor, m: int, d: int | None):
        super().__init__()
        self.k, self.m, self.d = m, m, d
        self.register_buffer("mask", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        if self.training:
            self.mask = km_mask(weight, self.k, self.m, self.d)
        return _StraightThrough.apply(weight, self.mask, self.DECAY)


class _Layer:
    """A masked layer: its module, mode and the k that it stands at."""

    def __init__(self, module: nn.Module, k: int, m: int, d: int | None):
        self.module, self.target, self.m, self.d = module, k, m, d
        self.k = m

    @property
    def parametrization(self) -> nn.Module:
        return self.module.parametrizations.weight[0]

    def keep(self, k: int) -> None:
        self.k = k
        if isinstance(self.parametrization, _SrSte):
            self.parametrization.k = k
        # Of the masked weights, so that what was removed stays removed.
        self.parametrization.mask = km_mask(self.module.weight, k, self.m, self.d)


class Masks:
    """The masks of a model, by layer name; made by `attach`."""

    def __init__(self, layers: Mapping[str, _Layer]):
        self.layers = dict(layers)

    @property
    def modes(self) -> dict[str, tuple[int, int]]:
        """(k, m) of each layer as it stands."""
        return {name: (layer.k, layer.m) for name, layer in self.layers.items()}

    @property
    def sparsity(self) -> float:
        """Share of the masked layers' weights that are removed."""
        sizes = [
            (layer.parametrization.mask.sum().item(), layer.parametrization.mask.numel())
            for layer in self.layers.values()
        ]
        return 1 - sum(kept for kept, _ in sizes) / sum(size for _, size in sizes)

    @property
    def steps(self) -> int:
        """How many times `step` will remove something."""
        return max((layer.k - layer.target for layer in self.layers.values()), default=0)

    def aim(self, k: int) -> None:
        """Set the k that every layer is pruned to, for masks of one m."""
        for layer in self.layers.values():
            layer.target = k

    def step(self) -> bool:
        """Remove the smallest weight of each group of the layers that are above their k; False when none is."""
        above = [layer for layer in self.layers.values() if layer.k > layer.target]
        for layer in above:
            layer.keep(layer.k - 1)
        return bool(above)

    def finish(self) -> None:
        """Remove everything that is still to be removed, at once."""
        for layer in self.layers.values():
            layer.keep(layer.target)


def prunable(model: nn.Module) -> list[str]:
    """Names of the convolutions that are pruned by default: all but the first one and depthwise ones."""
    convolutions = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    return [name for name, module in convolutions[1:] if module.weight.shape[1] > 1 or module.groups == 1]


def _check_core(name: str, k: int, m: int) -> None:
    try:
        km.check_mode(k, m)
    except ValueError as error:
        raise ValueError(f"layer {name!r}: {error}; core=False trains it all the same") from None


def attach(
    model: nn.Module,
    k: int = 2,
    m: int = 4,
    d: int | None = 0,
    *,
    layers: Iterable[str] | Mapping[str, tuple[int, int]] | None = None,
    sr_ste: bool = False,
    core: bool = True,
) -> Masks:
    """Attach masks to a model's layers; they are all True until `Masks.step` or `Masks.finish` is called.

    ``layers``: names of the layers, or a table of a (k, m) for each; `prunable` layers when left out. With d = WHOLE a
    group is the whole layer, and k/m the share that is kept, in steps of 1/m of the layer.
    Raises ValueError for a layer that is unknown, has no weight or is masked already, for a k/m without a meaning, and
    for one along d = 0 that is no mode of the core, unless ``core`` is False.
    """
    modules = dict(model.named_modules())
    table = (
        layers if isinstance(layers, Mapping) else dict.fromkeys(prunable(model) if layers is None else layers, (k, m))
    )
    if not table:
        raise ValueError("no layer to prune: the model has no convolution behind its first one; name layers to prune")
    found = {}
    for name, (own_k, own_m) in table.items():
        if name not in modules:
            raise ValueError(f"layer {name!r} is unknown, expected one of {', '.join(filter(None, modules))}")
        if not 1 <= own_k <= own_m:
            raise ValueError(f"layer {name!r}: k/m {own_k}/{own_m}, expected 1 <= k <= m")
        if core and d == 0:
            _check_core(name, own_k, own_m)
        module = modules[name]
        if not isinstance(getattr(module, "weight", None), Tensor):
            raise ValueError(f"layer {name!r}: a {type(module).__name__} has no weight to prune")
        if parametrize.is_parametrized(module, "weight"):
            raise ValueError(f"layer {name!r}: its weight is parametrized already; call finalise first")
        mask = _SrSte(module.weight, own_m, d) if sr_ste else _Hard(module.weight)
        parametrize.register_parametrization(module, "weight", mask)
        found[name] = _Layer(module, own_k, own_m, d)
    return Masks(found)


def finalised(model: nn.Module) -> nn.Module:
    """A copy of the model with its masks applied; the model keeps its own.

    PyTorch removes a parametrization from the class, which a copy shares with its original: the copy leaves that class.
    """
    copy = deepcopy(model)
    for module in copy.modules():
        if _is_masked(module):
            weight = module.weight.detach()
            del module.parametrizations
            module.__class__ = type(module).__bases__[0]
            module.weight = nn.Parameter(weight)
    return copy


def _is_masked(module: nn.Module) -> bool:
    return parametrize.is_parametrized(module, "weight") and isinstance(
        module.parametrizations.weight[0], _Hard | _SrSte
    )


def finalise(model: nn.Module) -> nn.Module:
    """Make the masked weights plain weights and remove the masks, in place; returns the model."""
    for module in list(model.modules()):
        if _is_masked(module):
            parametrize.remove_parametrizations(module, "weight")
    return model
