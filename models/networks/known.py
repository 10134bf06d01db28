# SPDX-License-Identifier: Apache-2.0
"""Networks of the shapes of known ones, with random weights: 2/4 but for the first layer and depthwise ones, which are
dense. Densities of activations are near 0.58, 0.5, 0.42 and 0.33 by stage, as measured on trained networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.network import INPUT, Network
from models.networks.builder import Builder

DENSITIES = (0.58, 0.5, 0.42, 0.33)
STEM_DENSITY = 0.37  # of what a max pool makes DENSITIES[0]
CLASSES = 1000
DENSE = (1, 1)


def _stem(build: Builder) -> str:
    """The first layers of a residual network."""
    stem = build.conv("conv1", INPUT, 64, 7, stride=(2, 2), mode=DENSE, density=STEM_DENSITY)
    return build.max_pool("pool1", stem, 3, stride=(2, 2), padding=(1, 1, 1, 1))


def _head(build: Builder, tensor: str, classes: int = CLASSES) -> str:
    """Global average and classifier."""
    return build.conv("fc", build.average("mean", tensor), classes, 1)


def _basic(build: Builder, name: str, x: str, width: int, stride: int, density: float) -> str:
    """A block of two 3x3 layers, with a shortcut layer where shapes differ."""
    short = x
    if stride > 1 or build.channels(x) != width:
        short = build.conv(f"{name}.short", x, width, 1, stride=(stride, stride))
    first = build.conv(f"{name}.conv1", x, width, 3, stride=(stride, stride), density=density)
    return build.conv(f"{name}.conv2", first, width, 3, density=density, residual=short)


def _bottleneck(build: Builder, name: str, x: str, width: int, stride: int, density: float) -> str:
    """A block of a 3x3 layer between two 1x1 ones, the last four times as wide."""
    short = x
    if stride > 1 or build.channels(x) != 4 * width:
        short = build.conv(f"{name}.short", x, 4 * width, 1, stride=(stride, stride))
    first = build.conv(f"{name}.conv1", x, width, 1, density=density)
    second = build.conv(f"{name}.conv2", first, width, 3, stride=(stride, stride), density=density)
    return build.conv(f"{name}.conv3", second, 4 * width, 1, density=density, residual=short)


def _resnet(
    rng: np.random.Generator,
    block: Callable[[Builder, str, str, int, int, float], str],
    blocks: tuple[int, ...],
) -> Network:
    build = Builder((3, 224, 224), rng)
    x = _stem(build)
    for stage, (count, density) in enumerate(zip(blocks, DENSITIES, strict=True)):
        for n in range(count):
            x = block(build, f"stage{stage + 1}.{n}", x, 64 << stage, 2 if stage and not n else 1, density)
    _head(build, x)
    return build.network()


def resnet18(rng: np.random.Generator) -> Network:
    """ResNet-18 at 224x224: 20 convolutions, max pool, global average, classifier."""
    return _resnet(rng, _basic, (2, 2, 2, 2))


def resnet50(rng: np.random.Generator) -> Network:
    """ResNet-50 at 224x224, strides in the 3x3 layers."""
    return _resnet(rng, _bottleneck, (3, 4, 6, 3))


def mobilenet(rng: np.random.Generator) -> Network:
    """MobileNet v1 at width 0.25 and 96x96."""
    build = Builder((3, 96, 96), rng)
    x = build.conv("conv1", INPUT, 8, 3, stride=(2, 2), mode=DENSE, density=DENSITIES[0])
    widths = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
    stage = 0
    for n, (width, stride) in enumerate(widths):
        stage += stride > 1
        density, channels = DENSITIES[min(stage, len(DENSITIES) - 1)], build.channels(x)
        step = (stride, stride)
        x = build.conv(f"depthwise{n + 1}", x, channels, 3, stride=step, groups=channels, mode=DENSE, density=density)
        x = build.conv(f"pointwise{n + 1}", x, width, 1, density=density)
    _head(build, x)
    return build.network()


def _vgg_features(build: Builder) -> str:
    """VGG-16's 13 convolutions and 5 max pools."""
    x = INPUT
    for stage, (count, width) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        for n in range(count):
            mode = DENSE if x == INPUT else (2, 4)
            density = DENSITIES[min(stage, len(DENSITIES) - 1)]
            x = build.conv(f"conv{stage + 1}.{n + 1}", x, width, 3, mode=mode, density=density)
        x = build.max_pool(f"pool{stage + 1}", x, 2, stride=(2, 2))
    return x


def _vgg_classifier(build: Builder, x: str) -> None:
    """VGG-16's 3 fully connected layers, the first of which has more weights in a chunk than `paper` holds."""
    x = build.conv("fc6", x, 4096, 7, padding=(0, 0, 0, 0), density=DENSITIES[3])
    x = build.conv("fc7", x, 4096, 1, density=DENSITIES[3])
    build.conv("fc8", x, CLASSES, 1)


def vgg16(rng: np.random.Generator) -> Network:
    """VGG-16 at 224x224: 13 convolutions, 5 max pools, 3 fully connected layers."""
    build = Builder((3, 224, 224), rng)
    _vgg_classifier(build, _vgg_features(build))
    return build.network()


def vgg16_features(rng: np.random.Generator) -> Network:
    """VGG-16 without its fully connected layers."""
    build = Builder((3, 224, 224), rng)
    _vgg_features(build)
    return build.network()


def vgg16_classifier(rng: np.random.Generator) -> Network:
    """VGG-16's fully connected layers alone, on an input without zeros."""
    build = Builder((512, 7, 7), rng)
    _vgg_classifier(build, INPUT)
    return build.network()


def tiny(rng: np.random.Generator) -> Network:
    """A residual network of four layers with a pool and a classifier, for the smallest configuration."""
    build = Builder((3, 16, 16), rng, 2)
    x = build.max_pool("pool", build.conv("stem", INPUT, 8, 3, mode=DENSE, density=0.6), 2, stride=(2, 2))
    x = _basic(build, "block", x, 16, 2, 0.5)
    _head(build, x, 10)
    return build.network()


def tiny_branches(rng: np.random.Generator) -> Network:
    """Branches, a concatenation, a depthwise and a grouped layer, a sum that no convolution makes, two results."""
    build = Builder((2, 12, 12), rng, 2)
    stem = build.conv("stem", INPUT, 8, 3, mode=DENSE, density=0.6)
    left = build.conv("left", stem, 8, 1, density=0.5)
    middle = build.conv("middle", left, 8, 3, mode=(1, 2), density=0.5)
    depthwise = build.conv("depthwise", stem, 8, 3, groups=8, mode=DENSE, density=0.5)
    x = build.concat("concat", left, middle, build.max_pool("pooled", stem, 3, padding=(1, 1, 1, 1)))
    x = build.conv("mixed", x, 8, 3, mode=(1, 4), density=0.5)
    x = build.add("sum", x, depthwise)
    x = build.conv("grouped", x, 16, 3, groups=2, mode=DENSE, stride=(2, 2), density=0.5)
    _head(build, x, 5)
    return build.network("grouped")


_BUILDERS = {
    f.__name__: f for f in (resnet18, resnet50, mobilenet, vgg16, vgg16_features, vgg16_classifier, tiny, tiny_branches)
}
NAMES = tuple(_BUILDERS)


def build(name: str, seed: int = 1) -> Network:
    """The network of a name; equal seeds give equal networks. Raises ValueError for a name that is none of NAMES."""
    if name not in _BUILDERS:
        raise ValueError(f"network {name!r} is unknown, expected one of {', '.join(NAMES)}")
    return _BUILDERS[name](np.random.default_rng(seed))
