# SPDX-License-Identifier: Apache-2.0
import json
import time
from fractions import Fraction

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (make torch)")
pytest.importorskip("mlxtend", reason="mlxtend is not installed (make torch)")

from models import km  # noqa: E402
from models.network import Network  # noqa: E402
from models.training import runs, sensitivity  # noqa: E402
from verif.host.paper import accuracy  # noqa: E402

TINY = runs.Study(data="mnist", network="plain_cnn", images=256, seeds=(1,), epochs=1, methods=())


def test_stages_follow_their_parents():
    plan = runs.stages(runs.Study())
    seen = {}
    for stage in plan:
        assert stage.parent is None or seen[stage.parent].sparsity == stage.before
        assert stage.parent is None or seen[stage.parent].seed == stage.seed
        seen[stage.name] = stage
    assert len(seen) == len(plan)
    expressed = {(stage.m, stage.sparsity) for stage in plan if stage.axis == "output" and stage.method == "iterative"}
    eighths = [Fraction(n, 8) for n in (2, 4, 5, 6, 7)]
    assert expressed == {(m, s) for m in (4, 8, 16) for s in eighths if (m * s).denominator == 1}
    # Of one sparsity all m have been trained for as long.
    for stage in plan:
        if stage.method == "iterative" and stage.sparsity == Fraction(3, 4):
            length, at = 0.0, stage
            while at.parent:
                length, at = length + at.epochs(runs.Study()), seen[at.parent]
            assert length == 3 * runs.Study().retraining


def test_to_do_brings_lost_weights_back(tmp_path):
    plan = [stage for stage in runs.stages(runs.Study(seeds=(1,))) if stage.m in (1, 4) and stage.axis == "output"]
    dense, quarter, half = (stage.name for stage in plan[:3])
    names = {stage.name for stage in plan}
    assert {stage.name for stage in runs._to_do(plan, set(), tmp_path)} == names
    assert runs._to_do(plan, names, tmp_path) == []
    found = [stage.name for stage in runs._to_do(plan, names - {half}, tmp_path)]
    assert found == [dense, quarter, half]
    runs.weights_file(tmp_path, quarter).touch()
    assert [stage.name for stage in runs._to_do(plan, names - {half}, tmp_path)] == [half]


def test_run_records_and_resumes(tmp_path):
    lines = []
    for _ in range(2):
        runs.run(TINY, tmp_path / "runs.jsonl", tmp_path / "weights", lines.append, jobs=1)
    (record,) = runs.read_records(tmp_path / "runs.jsonl")
    assert record["stage"] == "seed 1: dense" and 0 < record["float"] < 1 and record["versions"]["torch"]
    assert [line.split()[0] for line in lines] == ["0", "1/1", "1"]


def test_a_pruned_stage(tmp_path):
    study = runs.Study(data="mnist", network="plain_cnn", images=256, seeds=(1,), epochs=1, retraining=0.5)
    by_name = {stage.name: stage for stage in runs.stages(study)}
    runs.run_stage(study, by_name["seed 1: dense"], tmp_path)
    runs.run_stage(study, by_name["seed 1: output 3/4 iterative at 25 %"], tmp_path)
    name = "seed 1: output 2/4 iterative at 50 %"
    record = runs.run_stage(study, by_name[name], tmp_path)
    assert record["sparsity"] == 0.5 and record["kept"] == 0.5
    model = runs.load_model(study, tmp_path, name)
    for layer in ("3", "7", "10"):
        km.check(model.get_submodule(layer).weight.detach().numpy(), 2, 4, 0)
    network = runs.integer_network(study, model)
    assert isinstance(network, Network) and [(node.k, node.m) for node in network.nodes if node.op == "conv"][1] == (
        2,
        4,
    )
    record = runs.run_stage(study, by_name["seed 1: per-layer for 50 %"], tmp_path)
    assert set(record["modes"]) == {"3", "7", "10"} and record["kept"] <= 0.5
    record = runs.run_stage(study, by_name["seed 1: permuted 2/4 for 50 %"], tmp_path)
    before, after = record["magnitude"]
    assert 0.5 < before < after < 1 and record["kept"] == 0.5


def test_fine_tuning_where_integers_lose(tmp_path, monkeypatch):
    monkeypatch.setattr(runs.finetune, "LOST", -1)
    record = runs.run_stage(TINY, runs.stages(TINY)[0], tmp_path)
    assert 0 < record["calibrated"] < 1 and 0 < record["int8"] < 1


def test_assignment():
    found = sensitivity.Sensitivity(
        {"a": 100, "b": 100}, {"a": {(1, 1): 0, (2, 4): 0.1, (1, 4): 0.2}, "b": {(1, 1): 0, (2, 4): 1.0, (1, 4): 5.0}}
    )
    assert sensitivity.assign(found, 0.25) == {"a": (2, 4), "b": (1, 1)}
    assert sensitivity.assign(found, 0.5) == {"a": (1, 4), "b": (2, 4)}
    with pytest.raises(ValueError, match=r"sparsity 0\.8: the sparsest modes of all layers remove less"):
        sensitivity.assign(found, 0.8)


def test_figure_and_table(tmp_path):
    def record(seed, sparsity, accuracy, m=4, **options):
        base = {"seed": seed, "method": "iterative", "axis": "output", "m": m, "sparsity": sparsity, "trained": False}
        return base | {"float": accuracy, "int8": accuracy - 0.001} | options

    records = [record(seed, 0.0, 0.9 + seed / 100, 1, method="dense", trained=True) for seed in (1, 2)]
    records += [record(seed, 0.5, 0.89 + seed / 100) for seed in (1, 2)]
    records.append(record(1, 0.5, 0.88, axis="input"))
    text = accuracy.table(json.loads(json.dumps(records)))
    assert "| output depth | 2/4 | 50 % | 2 | 90.50 ± 0.71 | 90.40 ± 0.71 | +1.00 ± 0.00 | +0.10 ± 0.00 |" in text
    assert "| input depth | 2/4 | 50 % | 1 | 88.00 | 87.90 | +3.00 | +0.10 |" in text
    accuracy.draw(records, tmp_path / "figure.png", "a title")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_an_interrupt_ends_the_stages_that_run(tmp_path, monkeypatch):
    """An interrupt while stages run ends within seconds, although their networks would train for minutes."""
    study = runs.Study(data="mnist", network="plain_cnn", images=4000, seeds=(1, 2), epochs=200, methods=())
    waiting = runs.wait

    def interrupted(*args, **options):
        waiting(*args, timeout=2, **options)
        assert len(runs.active_children()) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "wait", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        runs.run(study, tmp_path / "runs.jsonl", tmp_path / "weights", lambda text: None)
    assert runs.active_children() == [] and time.monotonic() - started < 30
    assert runs.read_records(tmp_path / "runs.jsonl") == []
