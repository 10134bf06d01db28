# SPDX-License-Identifier: Apache-2.0
"""`make regress`: one test over many seeds in parallel, failures sorted by what went wrong."""

from __future__ import annotations

import os
import re
import signal
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from xml.etree import ElementTree

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from verif.host.cli.pytest_run import pytest_run, selection, session
from verif.host.runner.process import children
from verif.host.runner.run import FULL, MAX_SEED, default_seed, rerun_test
from verif.shared.paths import BUILD

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


def run_seed(test: str, chosen: list[str], seed: int) -> tuple[int, list[Failure]]:
    """Run `test`, which pytest knows as ``chosen``, with `seed`; how many tests ran, and the failures."""
    xml = BUILD / "regress" / f"seed{seed}.xml"
    xml.unlink(missing_ok=True)
    log = xml.with_suffix(".log")
    with log.open("w") as output:
        code = pytest_run(
            [*chosen, f"--junitxml={xml}", "-p", "no:cacheprovider"], {"SEED": str(seed), FULL: "1"}, output=output
        )
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
    if code and not failures:
        last = next((line for line in reversed(log.read_text().splitlines()) if line.strip()), "no output")
        failures.append(Failure(f"pytest: {signature(last)}", rerun_test(test, seed)))
    return ran, failures


def regress(seeds: int = 20, test: str = RANDOM_TEST) -> None:
    """Run TEST with SEEDS seeds, the first of them $SEED; exit 1 when anything failed."""
    first = default_seed()
    if not 1 <= seeds <= MAX_SEED - first + 1:
        raise ValueError(f"SEEDS: {seeds}, expected 1 to {MAX_SEED - first + 1} from SEED={first} on")
    chosen = selection(test)
    (BUILD / "regress").mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    done, ran, failures, interrupted = 0, 0, list[Failure](), False
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    pool = ThreadPoolExecutor(os.cpu_count())
    with session("make regress"), Progress(*columns, console=console) as progress:
        bar = progress.add_task("seeds", total=seeds, failed=0)
        jobs = {pool.submit(run_seed, test, chosen, seed): seed for seed in range(first, first + seeds)}
        try:
            for job in as_completed(jobs):
                count, bad = job.result()
                # Above the bar, and in a log, where no bar is drawn, the only sign of progress.
                console.print(f"seed {jobs[job]}: {count} tests, {len(bad)} failed")
                done, ran, failures = done + 1, ran + count, failures + bad
                progress.update(bar, advance=1, failed=len(failures))
        except (KeyboardInterrupt, SystemExit):
            interrupted = True
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            if interrupted:
                for child in children(os.getpid()):
                    os.kill(child, signal.SIGTERM)
            _report(console, done, ran, failures)
    if failures or not ran:
        raise typer.Exit(1)


def _report(console: Console, seeds: int, ran: int, failures: list[Failure]) -> None:
    """Failures by what went wrong, each with the command that runs it again, and the totals."""
    buckets: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        buckets[failure.signature].append(failure)
    for name, bucket in sorted(buckets.items(), key=lambda item: -len(item[1])):
        console.print(f"{len(bucket)} x {name}", markup=False, soft_wrap=True)
        for failure in bucket[:5]:
            console.print(f"    {failure.rerun}", markup=False, soft_wrap=True)
        if len(bucket) > 5:
            console.print(f"    and {len(bucket) - 5} more; logs in build/regress/")
    failed = min(ran, len(failures))
    console.print(f"{seeds} seeds, {ran} tests: {ran - failed} passed, {len(failures)} failed")
