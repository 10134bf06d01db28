"""mac_array: products, banks and rows of all modes, the MAC count, both kinds of activations."""

import os

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from models.km import MODES
from verif.runner import run_block
from verif.seed import rng
from verif.structs import struct

LAYER, DERIVED = struct("layer_t"), struct("derived_t")


async def start(dut) -> None:
    dut.rst_ni.value = 0
    await Timer(1, "ns")  # no clock edge before the reset
    cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
    for port in (dut.layer_i, dut.derived_i, dut.load_i, dut.vector_i, dut.valid_i, dut.pos_i, dut.act_i, dut.end_i):
        port.value = 0
    await FallingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1


def random_vector(gen, lanes: int, k: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and indices, ascending within a group of k lanes; some values are zero, some extreme."""
    values = gen.choice([-128, -127, -1, 0, 1, 127, int(gen.integers(-128, 128))], lanes)
    indices = np.concatenate([np.sort(gen.choice(m, k, replace=False)) for _ in range(lanes // k)])
    return values, indices


def expected(mode, values, indices, position: int, act: int):
    """(row, banks, products) by the definitions of docs/architecture.md, section 7.6."""
    k, m = mode
    ratio = m // k
    share = 4 // ratio
    channel = np.arange(len(values)) % 4 // k * m + indices
    return position // share, position % share * (4 * ratio) + channel, values * act


@cocotb.test()
async def random_emissions(dut):
    """All modes: vectors loaded at any time, a cycle ahead of their first emission, with gaps and without."""
    await start(dut)
    gen, lanes = rng(), int(os.environ["NumLanes"])
    for k, m in MODES * 2:
        signed = bool(gen.integers(2))
        positions = min(64, 128 * k // m)
        dut.layer_i.value = LAYER.pack(
            {"k_log2": k.bit_length() - 1, "m_log2": m.bit_length() - 1, "act_signed": signed}
        )
        dut.derived_i.value = DERIVED.pack({"ratio": (m // k).bit_length() - 1})
        vector, loaded, ends = None, None, 0
        for _ in range(150):
            vector, loaded = loaded or vector, None
            load = vector is None or gen.random() < 0.3
            dut.load_i.value = load
            if load:
                loaded = random_vector(gen, lanes, k, m)
                lane = [int(i) << 8 | int(v) & 0xFF for v, i in zip(*loaded, strict=True)]
                dut.vector_i.value = sum(bits << (12 * n) for n, bits in enumerate(lane))
            valid = vector is not None and gen.random() < 0.8
            act = int(gen.choice([0, 1, 127, 128, 255, int(gen.integers(256))]))
            position, end = int(gen.integers(positions)), bool(gen.random() < 0.1)
            dut.valid_i.value, dut.pos_i.value, dut.act_i.value, dut.end_i.value = valid, position, act, end
            await FallingEdge(dut.clk_i)
            assert dut.end_o.value == end
            ends += end
            assert dut.valid_o.value == (valid and act != 0), "zero activations are gated"
            if not (valid and act):
                assert dut.macs_o.value == 0
                continue
            value = act - 256 if signed and act > 127 else act
            row, banks, products = expected((k, m), *vector, position, value)
            nonzero = vector[0] != 0
            enabled, bank, product = int(dut.en_o.value), int(dut.bank_o.value), int(dut.product_o.value)
            assert dut.row_o.value == row and dut.macs_o.value == int(nonzero.sum())
            for n in range(lanes):
                assert (enabled >> n & 1) == nonzero[n]
                assert (bank >> 4 * n & 15) == int(banks[n])
                found = product >> 16 * n & 0xFFFF
                assert found == int(products[n]) & 0xFFFF, f"lane {n}: {vector[0][n]} * {value} gave {found:#x}"
        assert ends


@pytest.mark.parametrize("lanes, sim", [(4, "verilator"), (16, "verilator"), (4, "icarus")])
def test_mac_array(lanes, sim):
    run_block("spcore_mac_array", {"NumLanes": lanes}, sim=sim)


def test_parameter_check():
    with pytest.raises(RuntimeError, match="NumLanes = 6, expected a multiple of 4"):
        run_block("spcore_mac_array", {"NumLanes": 6})
