"""The keys of a configuration that are plain values: of what kind each is, and in which range. Defaults: `conf/`."""

from typing import Any

# Where numbers lie, as in mathematics: [ and ] include an end, ( and ) do not. Null is told by the kind.
POSITIVE, FROM_0, FROM_1, SHARE = "(0, inf)", "[0, inf)", "[1, inf)", "[0, 1]"

_LEARNING = {
    "epochs": (float, POSITIVE),
    "lr": (float, POSITIVE),
    "decay": (float, FROM_1),
    "batch_size": (int, FROM_1),
    "drop_mult": (float, ""),
}

# Every key that does not lie in a node with a `_target_`: its kind, and its range or "".
_KEYS: dict[str, tuple[Any, str]] = {
    "seed": (int, ""),
    "trust": (bool, ""),
    "init_from": (str | None, ""),
    "arch_from": (str | None, ""),
    "recipe": (str, ""),
    "resume": (str | None, ""),
    "on_divergence": (str, ""),
    "overwrite": (bool, ""),
    "leakage": (str, ""),
    "leakage_threshold": (float, SHARE),
    "calibration": (str, ""),
    "seeds": (int, FROM_1),
    "with_scratch": (bool, ""),
    "ensemble": (int, "[1, 100]"),
    "blend": (bool, ""),
    "must_win": (float | None, ""),
    "lr_find": (bool, ""),
    "batch_size": (int | None, FROM_1),
    "drop_mult": (float | None, FROM_0),
    "bptt": (int, FROM_1),
    "alphabet": (str, ""),
    "strands": (str, ""),
    "reverse_complement_p": (float, SHARE),
    "checkpoint.keep": (bool, ""),
    "checkpoint.every_n_steps": (int | None, FROM_1),
    "checkpoint.every_minutes": (float | None, POSITIVE),
    "run.name": (str, ""),
    "stage.name": (str, ""),
    "stage.monitor": (str | None, ""),
    "stage.mode": (str | None, ""),
    "stage.pretrain": (bool | None, ""),
    "stage.finetune": (bool, ""),
    **{f"paths.{name}": (str, "") for name in ("output_dir", "run_dir", "cache_dir", "data_dir")},
    "holdout.how": (str, ""),
    "holdout.fraction": (float, "(0, 1)"),
    "holdout.block_bp": (int, FROM_1),
    "holdout.margin_bp": (int, FROM_0),
    "holdout.contigs": (dict[str, float], ""),
    **{f"{stage}.{name}": pair for stage in ("pretrain", "finetune") for name, pair in _LEARNING.items()},
    **{
        f"{stage}.{name}": pair
        for stage in ("classify", "label")
        for name, pair in {**_LEARNING, "phases": (list[Any], "")}.items()
        if name not in ("epochs", "lr")
    },
    # Given alone, they scale the phases (`gulmfit.shorthand`); no file has them.
    **{f"{stage}.{name}": (float | None, POSITIVE) for stage in ("classify", "label") for name in ("epochs", "lr")},
    "classify.alpha": (float, FROM_0),
    "classify.beta": (float, FROM_0),
    "classify.bins": (int, FROM_0),
    "classify.gaps": (int, FROM_0),
    **{
        f"{group}.patience.{name}": pair
        for group in ("classify", "schedule")
        for name, pair in {
            "steps": (int | None, FROM_1),
            "gain": (float, "[0, 1)"),
            "longest": (float, "[1, inf)"),
        }.items()
    },
    "classify.scratch.lr": (float, POSITIVE),
    "classify.scratch.drop_mult": (float, ""),
    "tune.name": (str, ""),
    "tune.epochs": (float, POSITIVE),
    "tune.lr": (float, POSITIVE),
    "tune.hidden": (int, FROM_0),
    "tune.fresh": (bool, ""),
    "cv.folds": (int | None, "[2, inf)"),
    "cv.repeats": (int, FROM_1),
    "learning_curve.sizes": (list[Any], ""),
    "learning_curve.draws": (int, FROM_1),
    "learning_curve.min_steps": (int, FROM_0),
    "search.stage": (str, ""),
    "search.objectives": (list[str], ""),
    "search.trials": (int, FROM_1),
    "search.hours": (float | None, POSITIVE),
    "search.sampler": (str, ""),
    "search.pruner": (str, ""),
    "search.workers": (int, FROM_1),
    "search.ahead": (int, FROM_1),
    "search.earlier": (str | None, ""),
    "search.finalists": (int, FROM_1),
    "search.seeds": (int, FROM_1),
    "search.space": (dict[str, Any], ""),
    "search.set": (dict[str, str], ""),
    "panel.path": (str, ""),
    "panel.least": (int, FROM_0),
    "panel.negatives": (list[str], ""),
    "panel.set": (dict | None, ""),
    "panel.workers": (int, FROM_1),
    "panel.shard": (str | None, ""),
    "panel.score": (str, ""),
    "panel.by": (str | None, ""),
    "panel.warm": (str | None, ""),
    "panel.near_duplicates": (str, ""),
    "panel.multi_label": (bool, ""),
    "panel.twin": (bool, ""),
    **{f"dropout.{name}_p": (float, "") for name in ("embed", "input", "weight", "hidden", "output")},
}
KINDS: dict[str, Any] = {key: kind for key, (kind, _) in _KEYS.items()}
RANGES = {key: interval for key, (_, interval) in _KEYS.items() if interval} | {
    "split.valid_fraction": "[0, 1)",
    "split.test_fraction": "[0, 1)",
    "trainer.max_epochs": "[-1, inf)",
    "trainer.max_steps": "[-1, inf)",
}

# Of one of `classify.phases` and `schedule.phases`; the first two are needed.
PHASE: dict[str, Any] = {"epochs": float, "lr": float, "groups": int | None, "decay": float}
