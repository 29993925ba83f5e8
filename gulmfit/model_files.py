"""Which files a model consists of, wherever one is asked for."""

from pathlib import Path

from gulmfit.checkpoint import BLEND, CALIBRATION, DECODER, MODEL_FOLDER
from gulmfit.weights import SHARDS, WEIGHTS

# What else of a run's folder commands read.
RECORDS = (
    "config.yaml", "metrics.json", "metrics.csv", "split.tsv", "checkpoints/best.ckpt", "checkpoints/last.ckpt",
    "predictions/test.tsv", "predictions/baselines.tsv",
)  # fmt: skip
MODEL_FILES = ("config.json", "tokenizer.json", CALIBRATION, BLEND, DECODER)  # and those of the weights


def files_of(path: str | Path) -> list[Path]:
    """List the files of a run folder, a model folder or a checkpoint that commands may read."""
    run = Path(path)
    if not run.is_dir():
        return [run]
    if run.name == MODEL_FOLDER:
        run = run.parent
    folders = dict.fromkeys((run / MODEL_FOLDER, run, Path(path)))
    files = [run / name for name in RECORDS] + [folder / name for folder in folders for name in MODEL_FILES]
    weights = [file for folder in folders for pattern in (WEIGHTS, SHARDS) for file in sorted(folder.glob(pattern))]
    return [file for file in files if file.is_file()] + weights
