"""`gulmfit-train`, also `python train.py`. Hydra is imported within: `--help` does without."""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

from gulmfit.errors import GulmfitError
from gulmfit.files import config_dir
from gulmfit.quiet import is_quiet


def start_training(words: Sequence[str]) -> None:
    """Train: a language model, its tuning, a classifier, or all three.

      python train.py                                             the three stages on simulated data
      python train.py stage=pretrain data=fasta data.path=genomes/*.fna.gz run.name=mine
      python train.py stage=finetune data=table data.path=labelled.csv init_from=outputs/pretrain/mine
      python train.py stage=classify data=table data.path=labelled.csv init_from=outputs/finetune/default
      python train.py -m stage=classify data=table data.path=labelled.csv drop_mult=0.3,0.5 seed=1,2
      python train.py data.path=labelled.csv epochs=5 lr=1e-3 early_stopping=3    a classifier, by the name of the data

    --cfg job shows the composed configuration, --info its origin. Your own files: --config-dir DIR.

    Args:
        words: Of the configuration, and Hydra's own options.

    Raises:
        GulmfitError: If the configuration has a mistake, or the stage cannot run.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf

    from gulmfit.overrides import overrides_for_hydra
    from gulmfit.report.kept import parts_kept
    from gulmfit.shorthand import figures_asked, guessed

    words, figures = figures_asked(words)
    if (told := guessed(words)) and not is_quiet():
        sys.stderr.write(f"{' '.join(told)}: by the name of the data\n")
    multirun = bool({"-m", "--multirun"} & set(words))
    sys.argv[1:] = overrides_for_hydra([*words, *told], multirun=multirun)

    failed: list[Exception] = []
    ran: list[Path] = []  # jobs of a sweep, where they run in this process

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
    def main(config: DictConfig) -> float | None:
        from gulmfit.train.runner import run_stage

        hydra_config = HydraConfig.get()
        folder = Path(hydra_config.runtime.output_dir)
        multirun = hydra_config.mode == RunMode.MULTIRUN
        # Unresolved: a reference in a word belongs to the configuration and not to Hydra's own.
        task = cast("list[str]", OmegaConf.to_container(hydra_config.overrides.task, resolve=False))
        try:
            results = run_stage(config, _relative(folder), task, multirun=multirun)
            ran.append(_relative(folder))
        except (GulmfitError, OSError) as error:
            if multirun:
                raise
            failed.append(error)  # through Hydra it would come with all words of the command line before it
            return None
        # A sweeper may look at validation only.
        monitor = config.stage.monitor or "val/accuracy"
        value = results.get("metrics", {}).get(monitor)
        return None if value is None else float(value)

    with parts_kept(figures):
        main()
    if failed:
        raise failed[0]
    if len(ran) > 1 and not is_quiet():
        _tell_sweep(ran)


def _tell_sweep(folders: Sequence[Path]) -> None:
    """Print a table over the jobs of a sweep, where they have results."""
    from gulmfit.train.run import METRICS
    from gulmfit.train.run_table import read_finished, table_over_runs

    if finished := [folder for folder in folders if (folder / METRICS).is_file()]:
        sys.stdout.write(f"\n{table_over_runs(list(map(read_finished, finished)))}\n")


def _relative(folder: Path) -> Path:
    """Name a folder as the user would: relative to where they stand, if it is below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def groups(words: Sequence[str]) -> str:
    """List the files of each group of the configuration, those of `--config-dir` among them."""
    own = [after for word, after in pairwise(words) if word in ("--config-dir", "-cd")]
    own += [word.partition("=")[2] for word in words if word.startswith("--config-dir=")]
    names: dict[str, set[str]] = {}
    for file in (file for folder in (config_dir(), *map(Path, own)) for file in folder.glob("*/*.yaml")):
        names.setdefault(file.parent.name, set()).add(file.stem)
    lines = (f"  {group}: {', '.join(sorted(found))}\n" for group, found in sorted(names.items()) if group != "hydra")
    return f"Groups:\n{''.join(lines)}"
