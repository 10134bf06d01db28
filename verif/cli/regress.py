"""`make regress`: one test over many seeds in parallel, failures sorted by what went wrong."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from verif.cli.pytest_run import pytest_run, selection
from verif.runner.paths import BUILD
from verif.runner.run import MAX_SEED, default_seed, rerun_test

RANDOM_TEST = "tests/core/test_random.py"


@dataclass(frozen=True)
class Failure:
    """One failed test of one seed."""

    signature: str
    rerun: str


def signature(message: str) -> str:
    """What failed, without the numbers that differ from seed to seed.

    The first line of a failure names the test and its error; numbers become `#`.
    """
    first = next((line for line in message.splitlines() if line.strip()), "no message")
    return re.sub(r"0x[0-9a-fA-F]+|\d+", "#", first).strip()[:160]


def run_seed(test: str, seed: int) -> tuple[int, list[Failure]]:
    """Run `test` with `seed`; how many tests ran, and the failures."""
    xml = BUILD / "regress" / f"seed{seed}.xml"
    xml.unlink(missing_ok=True)
    done = pytest_run(
        [*selection(test), f"--junitxml={xml}", "-p", "no:cacheprovider"], {"SEED": str(seed)}, capture=True
    )
    xml.with_suffix(".log").write_text(done.stdout)
    failures: list[Failure] = []
    ran = 0
    if xml.exists():
        for case in ElementTree.parse(xml).getroot().iter("testcase"):
            if case.find("skipped") is not None:
                continue
            ran += 1
            for bad in (*case.findall("failure"), *case.findall("error")):
                text = bad.get("message") or bad.text or ""
                text = re.sub(r"^[\w.]*SimulationFailure: ", "", text)
                rerun = re.search(r"rerun with: (make .*)", bad.text or "")
                line = rerun.group(1) if rerun else rerun_test(test, seed)
                failures.append(Failure(signature(text), line))
    if done.returncode and not failures:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "no output")
        failures.append(Failure(f"pytest: {signature(last)}", rerun_test(test, seed)))
    return ran, failures


def regress(seeds: int = 20, test: str = RANDOM_TEST) -> None:
    """Run TEST with SEEDS seeds, the first of them $SEED; exit 1 when anything failed."""
    first = default_seed()
    if not 1 <= seeds <= MAX_SEED - first + 1:
        raise ValueError(f"SEEDS: {seeds}, expected 1 to {MAX_SEED - first + 1} from SEED={first} on")
    (BUILD / "regress").mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    ran, failures = 0, list[Failure]()
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(os.cpu_count()) as pool:
        bar = progress.add_task("seeds", total=seeds, failed=0)
        jobs = {pool.submit(run_seed, test, seed): seed for seed in range(first, first + seeds)}
        for job in as_completed(jobs):
            count, bad = job.result()
            # Above the bar, and in a log, where no bar is drawn, the only sign of progress.
            console.print(f"seed {jobs[job]}: {count} tests, {len(bad)} failed")
            ran += count
            failures += bad
            progress.update(bar, advance=1, failed=len(failures))

    buckets: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        buckets[failure.signature].append(failure)
    for name, bucket in sorted(buckets.items(), key=lambda item: -len(item[1])):
        console.print(f"{len(bucket)} x {name}", markup=False, soft_wrap=True)
        for failure in bucket[:5]:
            console.print(f"    {failure.rerun}", markup=False, soft_wrap=True)
        if len(bucket) > 5:
            console.print(f"    and {len(bucket) - 5} more; logs in build/regress/")
    console.print(f"{seeds} seeds, {ran} tests: {ran - len(failures)} passed, {len(failures)} failed")
    if failures or not ran:
        raise typer.Exit(1)
