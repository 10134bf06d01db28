# SPDX-License-Identifier: Apache-2.0
"""Training of k/m-sparse networks with PyTorch: pruning, schedules, quantisation, export and the runs of Figure 1.

The arithmetic of the core stays in ``models`` and needs numpy only. To prune a model of one's own::

    masks = training.attach(model, 2, 4)                 # nothing is removed yet
    training.prune(masks, lambda: train_some(model))     # remove a weight of each group, retrain, and so on
"""

from importlib.util import find_spec

if find_spec("torch") is None:
    raise RuntimeError("torch is not installed: pip install -r requirements-train.txt (make figure1 does it)")

from models.training.pruning import Masks, attach, finalise, km_mask
from models.training.schedules import prune

__all__ = ["Masks", "attach", "finalise", "km_mask", "prune"]
