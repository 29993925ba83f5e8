"""The keys of a configuration that are plain values: of what kind each is, and in which range. Defaults: `conf/`."""

from typing import Any

_LEARNING = {"epochs": float, "lr": float, "decay": float, "batch_size": int, "drop_mult": float}

# Every key that does not lie in a node with a `_target_`.
KINDS: dict[str, Any] = {
    "seed": int,
    "trust": bool,
    "init_from": str | None,
    "resume": str | None,
    "on_divergence": str,
    "overwrite": bool,
    "leakage": str,
    "leakage_threshold": float,
    "calibration": str,
    "seeds": int,
    "with_scratch": bool,
    "must_win": float | None,
    "lr_find": bool,
    "batch_size": int | None,
    "drop_mult": float | None,
    "bptt": int,
    "alphabet": str,
    "strands": str,
    "reverse_complement_p": float,
    "checkpoint.every_n_steps": int | None,
    "checkpoint.every_minutes": float | None,
    "run.name": str,
    "stage.name": str,
    "stage.monitor": str | None,
    "stage.mode": str | None,
    "stage.pretrain": bool | None,
    "stage.finetune": bool,
    **{f"paths.{name}": str for name in ("output_dir", "run_dir", "cache_dir", "data_dir")},
    "holdout.how": str,
    "holdout.fraction": float,
    "holdout.block_bp": int,
    "holdout.margin_bp": int,
    "holdout.contigs": dict[str, float],
    **{f"{stage}.{name}": kind for stage in ("pretrain", "finetune") for name, kind in _LEARNING.items()},
    "classify.batch_size": int,
    "classify.drop_mult": float,
    "classify.decay": float,
    "classify.phases": list[Any],
    "classify.scratch.lr": float,
    "classify.scratch.drop_mult": float,
    "cv.folds": int | None,
    "cv.repeats": int,
    "learning_curve.sizes": list[Any],
    "learning_curve.draws": int,
    "learning_curve.min_steps": int,
    **{f"dropout.{name}_p": float for name in ("embed", "input", "weight", "hidden", "output")},
}

# Of one of `classify.phases` and `schedule.phases`; the first two are needed.
PHASE: dict[str, Any] = {"epochs": float, "lr": float, "groups": int | None, "decay": float}

# Where numbers lie, as in mathematics: [ and ] include an end, ( and ) do not. Null is told by the kind.
RANGES = {
    "batch_size": "[1, inf)",
    "bptt": "[1, inf)",
    "seeds": "[1, inf)",
    "cv.folds": "[2, inf)",
    "cv.repeats": "[1, inf)",
    "drop_mult": "[0, inf)",
    "leakage_threshold": "[0, 1]",
    "reverse_complement_p": "[0, 1]",
    "holdout.fraction": "(0, 1)",
    "holdout.block_bp": "[1, inf)",
    "holdout.margin_bp": "[0, inf)",
    "split.valid_fraction": "[0, 1)",
    "split.test_fraction": "[0, 1)",
    "learning_curve.draws": "[1, inf)",
    "learning_curve.min_steps": "[0, inf)",
    "checkpoint.every_n_steps": "[1, inf)",
    "checkpoint.every_minutes": "(0, inf)",
    "classify.decay": "[1, inf)",
    "classify.batch_size": "[1, inf)",
    "classify.scratch.lr": "(0, inf)",
    "trainer.max_epochs": "[-1, inf)",
    "trainer.max_steps": "[-1, inf)",
    **{
        f"{stage}.{name}": interval
        for stage in ("pretrain", "finetune")
        for name, interval in (
            ("epochs", "(0, inf)"), ("lr", "(0, inf)"), ("decay", "[1, inf)"), ("batch_size", "[1, inf)"),
        )
    },
}  # fmt: skip
