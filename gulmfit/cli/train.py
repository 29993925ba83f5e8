"""`gulmfit-train`, also `python train.py`."""

from pathlib import Path

from gulmfit.cli.words import command


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
