# SPDX-License-Identifier: Apache-2.0
"""Which mode each layer takes: how much a layer suffers from each, and the assignment that costs least."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.training.fit import accuracy, images_of
from models.training.pruning import km_mask, prunable

MODES = ((1, 1), (2, 4), (1, 4))
IMAGES = 1000


@dataclass(frozen=True)
class Sensitivity:
    """size: weights of each layer; damage: rise of the loss when the layer alone is projected to a mode."""

    size: dict[str, int]
    damage: dict[str, dict[tuple[int, int], float]]


@torch.inference_mode()
def _loss(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return nn.functional.cross_entropy(model(images_of(images)), labels).item()


def analyse(model: nn.Module, train: tuple[Tensor, Tensor], modes: tuple[tuple[int, int], ...] = MODES) -> Sensitivity:
    """Project one layer at a time and measure the loss on the last IMAGES training images; the model is kept."""
    model.eval()
    images, labels = (part[-IMAGES:] for part in train)
    modules, base = dict(model.named_modules()), _loss(model, images, labels)
    size: dict[str, int] = {}
    damage: dict[str, dict[tuple[int, int], float]] = {}
    for name in prunable(model):
        weight = modules[name].weight
        kept, size[name], damage[name] = weight.data, weight.numel(), {}
        for k, m in modes:
            weight.data = torch.where(km_mask(kept, k, m), kept, 0)
            damage[name][k, m] = _loss(model, images, labels) - base
        weight.data = kept
    return Sensitivity(size, damage)


def assign(found: Sensitivity, sparsity: float) -> dict[str, tuple[int, int]]:
    """A mode for each layer, so that together they remove at least ``sparsity`` of the weights with little damage.

    Greedy: the next layer to go to a sparser mode is the one with the least damage a weight removed.
    Raises ValueError when even the sparsest modes remove less.
    """
    modes = dict.fromkeys(found.size, (1, 1))
    total = sum(found.size.values())

    def removed(name: str, mode: tuple[int, int]) -> float:
        return found.size[name] * (1 - mode[0] / mode[1])

    while sum(removed(name, mode) for name, mode in modes.items()) < sparsity * total:
        moves = [
            (
                (damage - found.damage[name][modes[name]]) / (removed(name, mode) - removed(name, modes[name])),
                name,
                mode,
            )
            for name, choices in found.damage.items()
            for mode, damage in choices.items()
            if removed(name, mode) > removed(name, modes[name])
        ]
        if not moves:
            raise ValueError(f"sparsity {sparsity}: the sparsest modes of all layers remove less")
        _, name, mode = min(moves)
        modes[name] = mode
    return modes


def auto(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    least: float,
    retrained: Callable[[dict[str, tuple[int, int]]], nn.Module] | None = None,
) -> dict[str, tuple[int, int]]:
    """The sparsest assignment, in steps of an eighth of all weights, that keeps an accuracy of ``least``.

    Accuracy is measured on the last IMAGES training images: of the model that ``retrained`` makes of an assignment, or
    of the projected model without retraining. All layers stay dense when no assignment keeps it.
    """
    found, held_out = analyse(model, train), tuple(part[-IMAGES:] for part in train)
    best = dict.fromkeys(found.size, (1, 1))
    for eighths in range(1, 7):
        modes = assign(found, eighths / 8)
        candidate = retrained(modes) if retrained else _projected(model, modes)
        if accuracy(candidate, held_out) < least:
            break
        best = modes
    return best


def _projected(model: nn.Module, modes: dict[str, tuple[int, int]]) -> nn.Module:
    candidate = deepcopy(model)
    modules = dict(candidate.named_modules())
    for name, (k, m) in modes.items():
        weight = modules[name].weight
        weight.data = torch.where(km_mask(weight, k, m), weight.data, 0)
    return candidate
