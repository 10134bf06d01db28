# SPDX-License-Identifier: Apache-2.0
"""The networks that are trained here. Convolutions have no bias: a batch normalisation follows each."""

from __future__ import annotations

from torch import Tensor, nn


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]


class Block(nn.Module):
    """ResNet's basic block; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(inputs, outputs, 3, stride), nn.ReLU(inplace=True), *_convolution(outputs, outputs, 3)
        )
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Sequential(*_convolution(inputs, outputs, 1, stride)) if changes else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """A stem of one 3x3 convolution, stages of basic blocks that double the channels and halve the plane, and a
    classifier on the plane's average. Images are (N, inputs, H, W)."""

    def __init__(self, width: int, stages: int, blocks: int, inputs: int, stem_stride: int, classes: int = 10):
        super().__init__()
        self.stem = nn.Sequential(*_convolution(inputs, width, 3, stem_stride), nn.ReLU(inplace=True))
        found, channels = [], width
        for stage in range(stages):
            for block in range(blocks):
                found.append(Block(channels, width << stage, 2 if stage and not block else 1))
                channels = width << stage
        self.blocks = nn.Sequential(*found)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)))


def resnet18(inputs: int = 1, width: int = 16) -> nn.Module:
    """ResNet-18's 20 convolutions with 64/width of its channels; the stem is 3x3 with stride 2 and without pooling."""
    return ResNet(width, stages=4, blocks=2, inputs=inputs, stem_stride=2)


def resnet8(inputs: int = 1, width: int = 16) -> nn.Module:
    """The ResNet-8 of MLPerf Tiny's image classification."""
    return ResNet(width, stages=3, blocks=1, inputs=inputs, stem_stride=1)


def plain_cnn(inputs: int = 1, width: int = 16) -> nn.Module:
    """Four convolutions with two max poolings and two classifier layers, for 28x28 images."""
    return nn.Sequential(
        *_convolution(inputs, width, 3),
        nn.ReLU(),
        *_convolution(width, width, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        *_convolution(width, 2 * width, 3),
        nn.ReLU(),
        *_convolution(2 * width, 2 * width, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 4 * width),
        nn.ReLU(),
        nn.Linear(4 * width, 10),
    )


NETWORKS = {"resnet18": resnet18, "resnet8": resnet8, "plain_cnn": plain_cnn}
