"""The commands `gulmfit-train` (`python train.py`), `gulmfit-evaluate`, `gulmfit-predict` and `gulmfit-compare`.

Mistakes that a user can mend are printed without a traceback and end with exit code 1.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gulmfit.errors import ConfigError, GulmfitError


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Turn errors into a message and an exit code that tells the truth."""

    @functools.wraps(function)
    def wrapped() -> None:
        # Without this Hydra prints its own summary of an error and we could not add to it.
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        from gulmfit.config import explain

        try:
            function()
        except GulmfitError as error:
            sys.exit(_message(error))
        except (HydraException, OmegaConfBaseException) as error:
            cause = error.__cause__ if isinstance(error.__cause__, GulmfitError) else None
            sys.exit(_message(cause or explain(error)))
        except KeyboardInterrupt:
            sys.exit(130)

    return wrapped


def _message(error: GulmfitError) -> str:
    return f"{type(error).__name__}: {error}"


@command
def train() -> None:
    """Run a stage: `gulmfit-train stage=pretrain data=fasta data.path=genome.fa.gz`."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig

    from gulmfit.config import config_dir

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
    def main(config: DictConfig) -> float | None:
        from gulmfit.train.runner import run_stage

        hydra_config = HydraConfig.get()
        folder = Path(hydra_config.runtime.output_dir)
        multirun = hydra_config.mode == RunMode.MULTIRUN
        results = run_stage(config, _relative(folder), list(hydra_config.overrides.task), multirun=multirun)
        # A sweeper may look at validation only.
        monitor = config.stage.monitor or "val/accuracy"
        value = results.get("metrics", {}).get(monitor)
        return None if value is None else float(value)

    main()


def _relative(folder: Path) -> Path:
    """Name a folder as the user would: relative to where they stand, if it is below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _arguments(usage: str, known: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    """Parse `key=value` words in the style of the training command.

    Raises:
        ConfigError: If a key is unknown, a value is of the wrong kind, or a required key is missing.
    """
    import difflib

    if len(sys.argv) < 2 or {"-h", "--help"} & set(sys.argv):
        sys.stdout.write(usage + "\n")
        sys.exit(0 if len(sys.argv) > 1 else 2)
    values = dict(known)
    for word in sys.argv[1:]:
        key, equals, value = word.partition("=")
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}=?" if near else ""
            raise ConfigError(f"{word!r} is not one of {', '.join(f'{name}=' for name in known)}.{hint}")
        if isinstance(known[key], bool):
            if value.lower() not in ("true", "false"):
                raise ConfigError(f"{word}: true or false is needed.")
            values[key] = value.lower() == "true"
        elif isinstance(known[key], int):
            if not value.isdigit():
                raise ConfigError(f"{word}: a whole number is needed.")
            values[key] = int(value)
        else:
            values[key] = value
    missing = [key for key in required if not values[key]]
    if missing:
        raise ConfigError(f"{', '.join(f'{key}=' for key in missing)} is missing.\n{usage}")
    return values


@command
def predict() -> None:
    """Predict: `gulmfit-predict model=RUN input=FILE output=FILE.tsv`."""
    usage = (
        "gulmfit-predict model=RUN input=FILE output=FILE.tsv [strand=forward|average] [batch_size=64]\n"
        "                [precision=32|bf16|auto] [raw=false] [sequence=sequence] [id=COLUMN]\n\n"
        "RUN is a run folder (outputs/classify/mine), its model folder, or a checkpoint. FILE is a FASTA (plain, gz,\n"
        "bgz) or a table (CSV, TSV, JSONL, Parquet) with a column of sequences. One probability column a class, in\n"
        "input order. precision=auto takes bf16, about twice as fast, where the hardware computes in it; then\n"
        "probabilities move by some thousandths. Probabilities are calibrated on the validation part; raw=true writes\n"
        "those of the network beside them."
    )
    known = {
        "model": "", "input": "", "output": "", "strand": "forward", "batch_size": 64, "precision": "32", "raw": False,
        "sequence": "sequence", "id": "",
    }  # fmt: skip
    values = _arguments(usage, known, ("model", "input", "output"))
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    from gulmfit.predict.commands import predict_file

    predict_file(**values)


@command
def evaluate() -> None:
    """Evaluate a classifier on labelled data: `gulmfit-evaluate model=RUN data=table data.path=FILE`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    usage = (
        "gulmfit-evaluate model=RUN data=table data.path=FILE [data.label=COLUMN ...]\n"
        "                 [output=FOLDER] [strand=forward|average] [batch_size=64]\n\n"
        "Scores a classifier on all sequences of labelled data, whatever its split. data=... takes the same sources\n"
        "and keys as gulmfit-train. Prints the scores with 95 % intervals, and writes metrics.json and report.html\n"
        "into FOLDER if it is given."
    )
    data = [word for word in sys.argv[1:] if word.startswith(("data", "paths."))]
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in data]
    known = {"model": "", "output": "", "strand": "forward", "batch_size": 64}
    values = _arguments(usage, known, ("model",))
    if not data:
        raise ConfigError(f"data= is missing: name the labelled sequences to score.\n{usage}")
    from gulmfit.train.evaluate import evaluate_file

    evaluate_file(data_overrides=data, **values)


@command
def compare() -> None:
    """Compare finished runs: `gulmfit-compare RUN RUN ... [output=FOLDER]`."""
    usage = (
        "gulmfit-compare RUN RUN ... [output=FOLDER] [seed=0]\n\n"
        "Lays finished classifiers side by side on the test sequences that all of them scored: scores with 95 %\n"
        "intervals, and paired tests. Run folders of stage=classify and stage=ulmfit. With output= the tables and\n"
        "curves are written to FOLDER/comparison.html and comparison.json."
    )
    runs = [word for word in sys.argv[1:] if "=" not in word and not word.startswith("-")]
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in runs]
    values: dict[str, Any] = {"output": "", "seed": 0}
    if len(sys.argv) > 1 or not runs:
        values = _arguments(usage, values, ())
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    from gulmfit.train.compare import compare as compare_runs

    compare_runs(runs, **values)
