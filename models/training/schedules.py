# SPDX-License-Identifier: Apache-2.0
"""When weights are removed during retraining: step by step as in the paper, or at once."""

from __future__ import annotations

from collections.abc import Callable

from models.training.pruning import Masks

REMOVING = 0.6  # share of a retraining in which weights are removed; the rest is for recovery


def prune(masks: Masks, retrain: Callable[[], object]) -> None:
    """The paper's schedule (section 2.2): remove the smallest weight of each group, retrain, until k are left."""
    while masks.step():
        retrain()


def iterative(masks: Masks, steps: int) -> Callable[[int], None]:
    """For `fit`: the same within one retraining of ``steps`` optimiser steps, removals evenly over its first part."""
    removals = masks.steps
    due = [round(REMOVING * steps * i / removals) for i in range(removals)]

    def before(step: int) -> None:
        while due and step >= due[0]:
            due.pop(0)
            masks.step()

    return before


def one_shot(masks: Masks, steps: int) -> Callable[[int], None]:
    """For `fit`: everything is removed before the first step. With SR-STE masks this is SR-STE."""

    def before(step: int) -> None:
        if step == 0:
            masks.finish()

    return before
