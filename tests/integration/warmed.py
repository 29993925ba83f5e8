"""Imported by the server that commands are forked from: what they would import on their way, each time again.

Hydra looks for its plugins, and its grammar learns to parse, once in each process: composing does both.
"""

import gc
import importlib

from gulmfit.config import compose, validate
from gulmfit.report.kinds.kind import every_kind
from gulmfit.seq.simulate.synthetic_task import simulate
from tests.quick import hurry

hurry()

for name in (
    "gulmfit.cli", "gulmfit.commands.predict", "gulmfit.evaluate.baselines.classes", "gulmfit.models.peer_cnn",
    "gulmfit.evaluate.baselines.values", "gulmfit.train.runner", "jinja2", "matplotlib.backends.backend_svg",
    "scipy.optimize", "scipy.signal", "scipy.stats", "sklearn.ensemble", "sklearn.isotonic", "sklearn.linear_model",
    "sklearn.metrics", "sklearn.model_selection", "sklearn.pipeline", "sklearn.preprocessing", "torch.distributed.run",
):  # fmt: skip
    importlib.import_module(name)

every_kind()
for stage in ("pretrain", "finetune", "ulmfit"):
    compose([f"stage={stage}", "arch=awd_lstm_tiny"])
words = ["data=table", "data.path=a b.csv"]
validate(compose(["stage=classify", "arch=awd_lstm_tiny", "classify.phases=[{epochs: 2, lr: 1e-2}]", *words]))
for length_bp in (200_000, 400_000):  # of most tests
    simulate(length_bp=length_bp, num_train=40, num_valid=20, num_test=20)

# What is there by now stays: nobody need look through half a million objects for those that could go, again in each
# process, which copies the pages that they lie on.
gc.collect()
gc.freeze()
