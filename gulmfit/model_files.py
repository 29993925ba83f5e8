"""Which files a model consists of, wherever one is asked for."""

from pathlib import Path

from gulmfit.checkpoint import BLEND, CALIBRATION, DECODER, MODEL_FOLDER
from gulmfit.pretrained import find
from gulmfit.seq.splits.trained_on import TRAINED_ON
from gulmfit.weights import SHARDS, WEIGHTS, weight_files, weights_digest

# What else of a run's folder commands read.
RECORDS = (
    "config.yaml", "metrics.json", "metrics.csv", "split.tsv", "checkpoints/best.ckpt", "checkpoints/last.ckpt",
    "predictions/test.tsv", "predictions/baselines.tsv",
)  # fmt: skip
MODEL_FILES = ("config.json", "tokenizer.json", CALIBRATION, BLEND, DECODER, TRAINED_ON)  # and those of the weights


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


def trained_on_of(path: str | Path) -> Path | None:
    """Return the table of what a classifier was trained on: its own, or the split of its run; None without either."""
    place = find(path)
    run = place.parent.parent if place.suffix == ".ckpt" else place
    found = {file.name: file for file in reversed(files_of(run))}
    return found.get(TRAINED_ON) or found.get("split.tsv")


def digest_of_model(path: str | Path) -> str:
    """Return the SHA-256 of the weights that are loaded from a run folder, a model folder, a checkpoint or a name."""
    place = find(path)
    if place.is_file():
        return weights_digest(place)
    for folder in (place / MODEL_FOLDER, place):
        if (folder / "config.json").is_file() and weight_files(folder):
            return weights_digest(folder)
    checkpoints = (place / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    return weights_digest(next(filter(Path.is_file, checkpoints), place))
