"""`gulmfit-train`, also `python train.py`."""

import sys
from pathlib import Path
from typing import cast

from gulmfit.cli.words import command
from gulmfit.errors import GulmfitError


@command
def train() -> None:
    """Run a stage: `gulmfit-train stage=pretrain data=fasta data.path=genome.fa.gz`."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf

    from gulmfit.overrides import config_dir, overrides_for_hydra

    sys.argv[1:] = overrides_for_hydra(sys.argv[1:], multirun=bool({"-m", "--multirun"} & set(sys.argv)))

    failed: list[Exception] = []

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="train")
    def main(config: DictConfig) -> float | None:
        from gulmfit.train.runner import run_stage

        hydra_config = HydraConfig.get()
        folder = Path(hydra_config.runtime.output_dir)
        multirun = hydra_config.mode == RunMode.MULTIRUN
        # Unresolved: a reference in a word belongs to the configuration and not to Hydra's own.
        words = cast("list[str]", OmegaConf.to_container(hydra_config.overrides.task, resolve=False))
        try:
            results = run_stage(config, _relative(folder), words, multirun=multirun)
        except (GulmfitError, OSError) as error:
            if multirun:
                raise
            failed.append(error)  # through Hydra it would come with all words of the command line before it
            return None
        # A sweeper may look at validation only.
        monitor = config.stage.monitor or "val/accuracy"
        value = results.get("metrics", {}).get(monitor)
        return None if value is None else float(value)

    main()
    if failed:
        raise failed[0]


def _relative(folder: Path) -> Path:
    """Name a folder as the user would: relative to where they stand, if it is below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
