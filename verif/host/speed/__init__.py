# SPDX-License-Identifier: Apache-2.0
"""The same program on the same verilated model, from cocotb and from a bare C++ loop; its profile for the compiler."""
