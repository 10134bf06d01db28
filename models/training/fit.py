# SPDX-License-Identifier: Apache-2.0
"""The training loop: SGD with a cosine rate, flips and shifts of the images."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

BATCH = 128
SHIFT = 2  # pixels at most, each way
WARM_UP = 0.05  # share of the steps
_TEST_BATCH = 1000


def images_of(batch: Tensor) -> Tensor:
    """uint8 pixels as the network takes them: float32 0..1, channels last."""
    return (batch.float() / 255).to(memory_format=torch.channels_last)


def _augment(batch: Tensor, flip: bool, generator: torch.Generator) -> Tensor:
    """The batch shifted by up to SHIFT pixels, zeros outside, and half of the images mirrored."""
    n = batch.shape[0]
    if flip:
        mirrored = torch.rand(n, generator=generator) < 0.5
        batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
    padded = nn.functional.pad(batch, (SHIFT,) * 4)
    y, x = torch.randint(0, 2 * SHIFT + 1, (2,), generator=generator).tolist()
    return padded[:, :, y : y + batch.shape[2], x : x + batch.shape[3]]


def steps_of(images: int, epochs: float) -> int:
    """Optimiser steps of a training of so many (parts of) epochs."""
    return max(1, round(epochs * (images // BATCH)))


def fit(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    steps: int,
    rate: float,
    seed: int,
    before: Callable[[int], None] = lambda step: None,
    *,
    flip: bool = True,
    decay: float = 5e-4,
) -> float:
    """Train in place for a number of steps, ``before`` called ahead of each; returns the mean loss of the end.

    train: images uint8 (N, C, H, W) and labels int64 (N,). Raises RuntimeError when the loss is not finite.
    """
    images, labels = train
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=decay)
    warm = max(1, int(WARM_UP * steps))
    scale = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(step / steps, 1))))
    )
    model.train()
    order, losses = torch.empty(0, dtype=torch.int64), []
    for step in range(steps):
        before(step)
        if len(order) < BATCH:
            order = torch.randperm(len(images), generator=generator)
        chosen, order = order[:BATCH], order[BATCH:]
        batch = images_of(_augment(images[chosen], flip, generator))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(batch), labels[chosen])
        if not loss.isfinite():
            raise RuntimeError(f"loss is {loss.item()} in step {step} of {steps}: lower the rate (it is {rate})")
        loss.backward()
        optimizer.step()
        scale.step()
        losses.append(loss.item())
    tail = losses[-max(1, steps // 10) :]
    return sum(tail) / len(tail)


@torch.inference_mode()
def accuracy(model: nn.Module, test: tuple[Tensor, Tensor]) -> float:
    """Share of the images that are classified rightly."""
    model.eval()
    right = 0
    for images, labels in zip(*(part.split(_TEST_BATCH) for part in test), strict=True):
        right += (model(images_of(images)).argmax(1) == labels).sum().item()
    return right / len(test[1])
