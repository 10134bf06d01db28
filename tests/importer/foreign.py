# SPDX-License-Identifier: Apache-2.0
"""The models of tests/importer/foreign: what they are and how the files were made.

`PYTHONPATH=. python tests/importer/foreign.py [NAME...]` trains each for some seconds and writes it with one of
PyTorch's two exporters; the newer one needs the package onnxscript. Everything else only reads the files.
"""

import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).with_name("foreign")
SIZE = 24
STEPS = 100  # of training
NAMES = ("vgg", "squeezenet", "resnet", "mobilenet", "inception", "mlp")
BY_DYNAMO = ("squeezenet", "inception", "mlp")


def images(count, seed):
    """Float images (count, 3, 24, 24) from 0 to 1 of a bright row or column among noise, and which of ten it is."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 90, (count, 3, SIZE, SIZE))
    labels = rng.integers(0, 10, count)
    for image, label in zip(found, labels, strict=True):
        place = 3 + 4 * (label % 5)
        part = image[:, place : place + 2] if label < 5 else image[:, :, place : place + 2]
        part[:] = rng.integers(150, 256, (3, 1, 1))
    return (found / 255).astype(np.float32), labels


def main():
    import torch
    from torch import nn

    def conv(i, o, kernel, stride=1, groups=1, act=nn.ReLU):
        made = [nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
        return nn.Sequential(*made, *([act()] if act else []))

    class Fire(nn.Module):
        def __init__(self, i, squeeze, expand):
            super().__init__()
            self.squeeze, self.one, self.three = conv(i, squeeze, 1), conv(squeeze, expand, 1), conv(squeeze, expand, 3)

        def forward(self, x):
            x = self.squeeze(x)
            return torch.cat([self.one(x), self.three(x)], 1)

    class Bottleneck(nn.Module):
        def __init__(self, i, middle, o, stride):
            super().__init__()
            self.body = nn.Sequential(conv(i, middle, 1), conv(middle, middle, 3, stride), conv(middle, o, 1, act=None))
            self.short = conv(i, o, 1, stride, act=None) if i != o or stride != 1 else nn.Identity()

        def forward(self, x):
            return torch.relu(self.body(x) + self.short(x))

    class Inverted(nn.Module):
        def __init__(self, i, o, stride, times):
            super().__init__()
            wide, self.adds = i * times, stride == 1 and i == o
            self.body = nn.Sequential(
                conv(i, wide, 1, act=nn.ReLU6),
                conv(wide, wide, 3, stride, wide, act=nn.ReLU6),
                conv(wide, o, 1, act=None),
            )

        def forward(self, x):
            return x + self.body(x) if self.adds else self.body(x)

    class Inception(nn.Module):
        def __init__(self, i):
            super().__init__()
            self.parts = nn.ModuleList(
                [
                    conv(i, 8, 1),
                    nn.Sequential(conv(i, 8, 1), conv(8, 12, 3)),
                    nn.Sequential(conv(i, 4, 1), conv(4, 8, 5)),
                    nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(i, 4, 1)),
                    nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(i, 4, 1)),
                ]
            )

        def forward(self, x):
            return torch.cat([part(x) for part in self.parts], 1)

    def head(channels):
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]

    def pool(kernel, stride=2, padding=0):
        return nn.MaxPool2d(kernel, stride, padding)

    def plain(i, o):
        return [nn.Conv2d(i, o, 3, padding=1), nn.ReLU()]

    ceil = {"ceil_mode": True}
    models = {
        "vgg": lambda: nn.Sequential(
            *plain(3, 8),
            *plain(8, 8),
            pool(2),
            *plain(8, 16),
            *plain(16, 16),
            pool(2),
            *plain(16, 16),
            pool(2),
            nn.Flatten(),
            nn.Linear(144, 32),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(32, 10),
        ),
        "squeezenet": lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, **ceil),
            Fire(16, 8, 12),
            Fire(24, 8, 12),
            nn.MaxPool2d(3, 2, **ceil),
            Fire(24, 12, 24),
            nn.Conv2d(48, 10, 1),
            nn.ReLU(),
            *head(10)[:2],
        ),
        "resnet": lambda: nn.Sequential(
            nn.Conv2d(3, 16, 7, 2, 3, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            pool(3, 2, 1),
            Bottleneck(16, 8, 32, 1),
            Bottleneck(32, 8, 32, 1),
            Bottleneck(32, 16, 48, 2),
            *head(48),
        ),
        "mobilenet": lambda: nn.Sequential(
            conv(3, 12, 3, 2, act=nn.ReLU6),
            Inverted(12, 12, 1, 2),
            Inverted(12, 16, 2, 3),
            Inverted(16, 16, 1, 2),
            conv(16, 48, 1, act=nn.ReLU6),
            *head(48),
        ),
        "inception": lambda: nn.Sequential(conv(3, 16, 3, 2), Inception(16), pool(2), Inception(36), *head(36)),
        "mlp": lambda: nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * SIZE * SIZE, 32),
            nn.ReLU(),
            nn.Linear(32, 24),
            nn.BatchNorm1d(24),
            nn.ReLU(),
            nn.Linear(24, 10),
            nn.Softmax(1),
        ),
    }
    torch.manual_seed(1)
    inputs, labels = (torch.from_numpy(array) for array in images(768, 1))
    FOLDER.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    for name in sys.argv[1:] or NAMES:
        model = models[name]()
        optimiser = torch.optim.Adam(model.parameters(), 4e-3)
        for _ in range(STEPS):
            chosen = torch.randint(0, len(inputs), (32,))
            optimiser.zero_grad()
            result = model(inputs[chosen])
            loss = (
                nn.functional.nll_loss(result.log(), labels[chosen])
                if name == "mlp"
                else (nn.functional.cross_entropy(result, labels[chosen]))
            )
            loss.backward()
            optimiser.step()
        model.eval()
        with torch.no_grad():
            right = (model(inputs).argmax(1) == labels).float().mean()
        example, path = (torch.zeros(2, 3, SIZE, SIZE),), FOLDER / f"{name}.onnx"
        names = {"input_names": ["images"], "output_names": ["classes"]}
        if name in BY_DYNAMO:
            shapes = ({0: torch.export.Dim("batch")},)
            torch.onnx.export(model, example, path, dynamo=True, external_data=False, dynamic_shapes=shapes, **names)
        else:
            axes = {"images": {0: "batch"}, "classes": {0: "batch"}}
            torch.onnx.export(model, example, path, dynamo=False, opset_version=17, dynamic_axes=axes, **names)
        print(f"{name}: {100 * right:.1f} % of the training images, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
