# SPDX-License-Identifier: Apache-2.0
"""What a report says of a compiled network, and of a run as its record has it."""

from itertools import combinations

import numpy as np
import pytest

from models import networks
from models.compiler import Compiler
from models.compiler.what_if import in_mode, trials
from models.config import load_config
from models.network import taken
from models.program import ENGINES, LAYERS
from models.program_results import tensors_of
from verif.host.programs import with_read_outs
from verif.host.report import changes, layer_table, network_page, timeline
from verif.host.report.layer_figures import dense_macs, figures, measured_times
from verif.shared.program_files import LayerReport, RunReport

SMALL = load_config("small")
BATCH = 2


@pytest.fixture(scope="module", params=["tiny", "tiny_branches"])
def compiled(request):
    network = networks.build(request.param)
    compiler = Compiler(network, SMALL, BATCH, network.example)
    program = compiler.compile().with_images(taken(network.example, [0] * 2 * BATCH))
    return program, compiler.time(program)


def report_of(times):
    """The record of a run that went as a timeline says."""
    ends = {name: [end for _, end in spans] for name, spans in zip(ENGINES, times.spans, strict=True)}
    cycles = np.diff([0, *ends["layers"]]).tolist()
    return RunReport(times.cycles, [LayerReport(count, 10) for count in cycles], ends, 1, 1, 1.0)


def test_cycles_and_products(compiled):
    program, times = compiled
    found = figures(program, SMALL, times)
    assert found.images == 2 * BATCH and found.cycles == times.cycles
    assert sum(row.cycles for row in found.rows) <= times.cycles
    for row in found.rows:
        assert row.measured is None and row.cycles > 0 and sum(row.causes.values()) == pytest.approx(row.cycles, abs=9)
        # A layer begins in the tail of the one before, so what it does may take more cycles than it has.
        assert 0 < found.utilisation(row) < 1.2 and row.macs <= found.images * dense_macs(program.network, row.node)
        assert row.dense == found.images * dense_macs(program.network, row.node) / 16
    assert sum(row.streamed for row in found.rows) == 2 * program.beats.shape[1] * sum(w.count for w in program.weights)


def test_a_run_that_went_as_predicted(compiled):
    program, times = compiled
    report = report_of(times)
    seen = measured_times(program, report)
    for spans, wanted in zip(seen.spans, times.spans, strict=True):
        assert [end for _, end in spans] == [end for _, end in wanted]
        assert all(begin <= other for (begin, _), (other, _) in zip(spans, wanted, strict=True))
    for row in figures(program, SMALL, times, report).rows:
        assert row.measured == row.predicted


def test_nothing_lies_where_something_else_does(compiled):
    """Boxes of the memory map that are there at one time lie apart."""
    program, times = compiled
    found = figures(program, SMALL, times)
    for name, (boxes, size) in timeline.memories(found).items():
        assert boxes and all(0 <= box.first < box.last <= size and box.begin < box.end for box in boxes)
        assert 0 < timeline.peak(boxes) <= size
        for one, other in combinations(boxes, 2):
            apart = one.last <= other.first or other.last <= one.first
            after = one.end <= other.begin or other.end <= one.begin
            same = one.name == other.name or (one.first, one.last) == (other.first, other.last)
            assert apart or after or same, (name, one, other)


def test_page(compiled, tmp_path):
    program, times = compiled
    found = figures(program, SMALL, times, report_of(times))
    path = tmp_path / "new" / "report.html"
    network_page.write(path, "tiny", found, ["accuracy: 1 of 2"], ["a network"], [network_page.section("More", "text")])
    html = path.read_text()
    assert html.count("<svg") == 2 and "src=" not in html and "http://" not in html.split("<svg")[0]
    for text in ("accuracy: 1 of 2", "a network", "<h2", "More", "Measured on the RTL", "What lies where"):
        assert text in html
    assert layer_table.table(found).count("\n") == len(found.rows) + 1


def test_what_is_cut_and_what_would_change():
    network = networks.build("tiny")
    compiler = Compiler(network, SMALL, 1, network.example)
    program = compiler.compile()
    assert changes.cuts(program, SMALL) == ["nothing: every layer runs whole"]
    for node in in_mode(network, 1, 4).nodes:
        if node.op == "conv" and node.groups == 1 and (node.k, node.m) == (1, 4):
            assert np.count_nonzero(node.kernels) <= -(-len(node.kernels) // 4) * node.kernels[0].size
    tried = list(trials(network, SMALL, 1))[:2]
    found = changes.changes(tried, network.example, 1000.0, 1e9, lambda text: None)
    assert found.count("\n") == len(tried) + 1 and "not tried" not in found
    assert changes.changes(tried, network.example, 1000.0, -1, lambda text: None).count("not tried") == len(tried)


def test_results_become_tensors(compiled):
    """From the packets that a run has to send: outputs alone, and every tensor."""
    program, _ = compiled
    for some in (program, with_read_outs(program)):
        packets = [
            packet
            for iteration in range(some.iterations)
            for transfer in some.results
            for packet in some.result_packets(transfer, iteration, SMALL.StreamBytes)
        ]
        found = tensors_of(some, packets, SMALL.StreamBytes)
        wanted = program.network.run(program.images)
        assert set(program.network.outputs) <= set(found) and len(program.layers) > LAYERS
        for name, tensor in found.items():
            np.testing.assert_array_equal(tensor, wanted[name])
        with pytest.raises(ValueError, match="^result stream: "):
            tensors_of(some, packets[1:], SMALL.StreamBytes)
