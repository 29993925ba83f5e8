"""The keys of a configuration that are plain values: of what kind each is, and in which range."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class StageSchema:
    """Keys of `stage`."""

    name: str = "pretrain"
    monitor: str | None = None
    mode: str | None = None
    pretrain: bool | None = None
    finetune: bool = True


@dataclass
class RunSchema:
    """Keys of `run`."""

    name: str = "default"


@dataclass
class PathsSchema:
    """Keys of `paths`."""

    output_dir: str = "outputs"
    run_dir: str = ""
    cache_dir: str = ""
    data_dir: str = ""


@dataclass
class HoldoutSchema:
    """Keys of `holdout`."""

    how: str = "blocks"
    fraction: float = 0.1
    block_bp: int = 50_000
    margin_bp: int = 1_000
    contigs: dict[str, float] = field(default_factory=dict)


@dataclass
class LearningSchema:
    """Keys of `pretrain` and `finetune`."""

    epochs: float = 1
    lr: float = 1e-3
    decay: float = 1.0
    batch_size: int = 64
    drop_mult: float = 1.0


@dataclass
class PhaseSchema:
    """Keys of one of `classify.phases` and `schedule.phases`; the first two are needed."""

    epochs: float = 1
    lr: float = 1e-3
    groups: int | None = None
    decay: float = 1.0


@dataclass
class ScratchSchema:
    """Keys of `classify.scratch`."""

    lr: float = 5e-3
    drop_mult: float = 0.2


@dataclass
class ClassifySchema:
    """Keys of `classify`."""

    batch_size: int = 128
    drop_mult: float = 0.4
    decay: float = 2.6
    phases: list[Any] = field(default_factory=list)
    scratch: ScratchSchema = field(default_factory=ScratchSchema)


@dataclass
class CrossValidationSchema:
    """Keys of `cv`."""

    folds: int | None = None
    repeats: int = 1


@dataclass
class LearningCurveSchema:
    """Keys of `learning_curve`."""

    sizes: list[Any] = field(default_factory=list)
    draws: int = 5
    min_steps: int = 200


@dataclass
class CheckpointSchema:
    """Keys of `checkpoint`."""

    every_n_steps: int | None = None
    every_minutes: float | None = 10


@dataclass
class DropoutSchema:
    """Keys of `dropout`."""

    embed_p: float = 0.0
    input_p: float = 0.0
    weight_p: float = 0.0
    hidden_p: float = 0.0
    output_p: float = 0.0


@dataclass
class TrainSchema:
    """Every top-level key that is not a node with a `_target_`."""

    seed: int = 0
    trust: bool = False
    init_from: str | None = None
    resume: str | None = None
    on_divergence: str = "rollback"
    checkpoint: CheckpointSchema = field(default_factory=CheckpointSchema)
    overwrite: bool = False
    leakage: str = "warn"
    leakage_threshold: float = 0.01
    calibration: str = "temperature"
    seeds: int = 1
    with_scratch: bool = False
    must_win: float | None = None
    lr_find: bool = False
    batch_size: int | None = None
    drop_mult: float | None = None
    bptt: int = 70
    alphabet: str = "dna"
    strands: str = "both"
    reverse_complement_p: float = 0.0
    run: RunSchema = field(default_factory=RunSchema)
    stage: StageSchema = field(default_factory=StageSchema)
    paths: PathsSchema = field(default_factory=PathsSchema)
    holdout: HoldoutSchema = field(default_factory=HoldoutSchema)
    pretrain: LearningSchema = field(default_factory=LearningSchema)
    finetune: LearningSchema = field(default_factory=LearningSchema)
    classify: ClassifySchema = field(default_factory=ClassifySchema)
    cv: CrossValidationSchema = field(default_factory=CrossValidationSchema)
    learning_curve: LearningCurveSchema = field(default_factory=LearningCurveSchema)
    dropout: DropoutSchema = field(default_factory=DropoutSchema)


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
