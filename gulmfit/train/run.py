"""A run folder: made before anything is learned, filled when it is."""

import json
import logging
import shlex
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback
from pytorch_lightning.utilities import rank_zero_only

from gulmfit.checkpoint import (
    MODEL_FOLDER,
    LoadedModel,
    Spec,
    build_tokenizer,
    letters_of,
    load,
    outline,
    read_progress,
)  # fmt: skip
from gulmfit.config import compose, read_plain, validate
from gulmfit.errors import CheckpointError, ConfigError, TokenizerError, WorthlessError
from gulmfit.files import remove_unfinished, write_whole
from gulmfit.metadata import versions, write_json
from gulmfit.models.ensemble import one_network
from gulmfit.overrides import assign
from gulmfit.report.html import Report, write_report
from gulmfit.report.kept import FIGURES, TABLES
from gulmfit.seq.limits import parse_json
from gulmfit.train.recipe import settle
from gulmfit.train.survive.curves import CURVES, read_curves
from gulmfit.train.survive.durable import BEST, LAST, PREVIOUS, newest_sound
from gulmfit.train.survive.identity import LEARNED_FROM, Identity, differences

logger = logging.getLogger(__name__)

CHECKPOINTS, CONFIG, METRICS = "checkpoints", "config.yaml", "metrics.json"
RESULTS = (
    CHECKPOINTS, MODEL_FOLDER, "predictions", "split.tsv", "metrics.json", "metrics.csv", "report.html", FIGURES, TABLES
)  # fmt: skip
OF_A_START = ("split.tsv", "metrics.csv")  # a run that ended before its first checkpoint holds nothing to lose
OF_A_SEARCH = ("study.journal", "trials", "finalists", "best.yaml")
OF_A_PANEL = ("sets", "warm", "panel.tsv")
OF_OTHER_SHARDS = ("sets", "warm")


@dataclass
class Run:
    """One run: its configuration, its folder, and the overrides it was started with."""

    config: DictConfig
    folder: Path
    overrides: list[str] = field(default_factory=list)
    watchers: list[Callback] = field(default_factory=list)
    """Callbacks of whoever started the run; they are not part of its settings."""

    @property
    def stage(self) -> str:
        """Name of the stage."""
        return str(self.config.stage.name)

    @property
    def facts(self) -> dict[str, Any]:
        """What every result begins with: `stage`, `run` and `seed`."""
        return {"stage": self.stage, "run": str(self.config.run.name), "seed": int(self.config.seed)}

    @property
    def config_yaml(self) -> str:
        """Text of its configuration."""
        return (self.folder / CONFIG).read_text(encoding="utf-8")

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.folder / CHECKPOINTS

    @property
    def writes(self) -> bool:
        """Whether this process writes into the folder: of several ranks the first."""
        return not getattr(rank_zero_only, "rank", 0)

    @property
    def command(self) -> str:
        """The command that would run it again."""
        return shlex.join(["python", "train.py", *self.overrides])

    @property
    def has_ended(self) -> bool:
        """Whether it has trained to its end, and what it learned is in its model folder alone (`checkpoint.keep`)."""
        ended = all((self.folder / name).is_file() for name in (METRICS, CURVES, f"{MODEL_FOLDER}/config.json"))
        return ended and not any((self.checkpoints / name).is_file() for name in (LAST, PREVIOUS))

    def prepare(self) -> Self:
        """Make the folder and write the configuration into it; return the run.

        Raises:
            ConfigError: If the folder holds the results of another run, and neither `resume` nor `overwrite` is given.
        """
        if not self.writes:
            return self
        kept = OF_OTHER_SHARDS if (self.config.get("panel") or {}).get("shard") else ()  # which replace their own
        names = [name for name in (*RESULTS, *OF_A_SEARCH, *OF_A_PANEL) if name not in kept]
        old = [name for name in names if (self.folder / name).exists()]
        if old and not self.config.resume:
            if not self.config.overwrite and any(map(self._holds_results, old)):
                raise ConfigError(
                    f"{self.folder} holds the results of an earlier run. Choose another run.name=..., continue it with "
                    "resume=auto, or replace it with overwrite=true."
                )
            for name in old:
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name in ("", CHECKPOINTS, MODEL_FOLDER, "predictions", "splits"):
            remove_unfinished(self.folder / name)
        self.folder.mkdir(parents=True, exist_ok=True)
        journal = self.folder / OF_A_SEARCH[0]
        saved = (self.checkpoints / LAST, self.checkpoints / PREVIOUS, journal)
        continued = self.config.resume and (self.has_ended or any(path.is_file() for path in saved))
        if not (continued and (self.folder / CONFIG).is_file()):  # else it may still be refused: see `take_up`
            self.write_config()
        return self

    def _holds_results(self, name: str) -> bool:
        path = self.folder / name
        return name not in OF_A_START and (not path.is_dir() or any(path.iterdir()))

    def write_config(self) -> None:
        """Write `config.yaml`, in one process of several."""
        if not self.writes:
            return
        text = OmegaConf.to_yaml(self.config, resolve=True)
        write_whole(self.folder / CONFIG, text)  # whole, for other ranks may be reading it

    def take_up(self, spec: Spec, identity: Identity) -> None:
        """Make sure that the run trains and learns from what it did before; then let its files be written again.

        Every stage calls this before it writes into the folder: until then its `config.yaml` and `split.tsv` are those
        of the run that may be refused.

        Raises:
            CheckpointError: If it is continued and the model, data, split, order or seed are other ones than before.
        """
        if (checkpoint := self.resume_from()) is not None:
            self.check_resumable(checkpoint, spec, identity)
        elif self.config.resume and self.has_ended:
            self._check_built(json.loads(json.dumps(spec)), load(self.folder / MODEL_FOLDER).spec, self.folder)
            self.check_results(identity)
        self.write_config()

    def check_checkpoint(self, identity: Identity) -> None:
        """Make sure that the checkpoint to continue from, if there is one, learned from the same.

        Raises:
            CheckpointError: If it learned from something else.
        """
        if (checkpoint := self.resume_from()) is not None:
            self.check_same(read_progress(checkpoint)[2], identity, checkpoint)

    def check_results(self, identity: Identity) -> None:
        """Make sure that the results in the folder are of what would be learned from now.

        Raises:
            CheckpointError: If they are of other data, or damaged.
        """
        path = self.folder / METRICS
        try:
            content = parse_json(path.read_text(encoding="utf-8"))
            theirs = content["data"].get(LEARNED_FROM)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is damaged: {error}. Remove it, and it is written again.") from error
        self.check_same(theirs, identity, path)

    def check_same(self, theirs: Mapping[str, Any] | None, ours: Identity, path: Path) -> None:
        """Make sure that what a file of this run was learned from is what is there now.

        Raises:
            CheckpointError: If something differs; it says what.
        """
        if not theirs:
            logger.warning("%s does not say what it was learned from; whether that is the same is not checked.", path)
            return
        if different := differences(theirs, ours):
            raise CheckpointError(
                f"{path} cannot be continued: since it was saved, {'; '.join(different)} changed. Training would go on "
                "with sequences that were tested on, or test on sequences that were trained on. Give the data and "
                f"settings that it was started with (see {CONFIG} and split.tsv there), or choose another run.name=."
            )

    def resume_from(self) -> Path | None:
        """Return the checkpoint to continue from, or None to start afresh.

        Raises:
            ConfigError: If `resume` names a file that does not exist.
        """
        resume = self.config.resume
        if not resume:
            return None
        if resume == "auto":
            return newest_sound(self.checkpoints)
        path = Path(str(resume))
        if path.is_dir():
            path = path / "checkpoints" / "last.ckpt"
        if not path.is_file():
            raise ConfigError(f"resume={resume}: {path} does not exist. Give a .ckpt file, a run folder, or auto.")
        return path

    def check_resumable(self, checkpoint: Path, spec: Spec, identity: Identity) -> int:
        """Return the step at which a checkpoint was saved.

        Raises:
            CheckpointError: If it is damaged, of a model that is built otherwise, or learned from something else.
        """
        theirs, step, learned_from = read_progress(checkpoint)
        self._check_built(spec, theirs, checkpoint)
        self.check_same(learned_from, identity, checkpoint)
        return step

    def _check_built(self, spec: Spec, theirs: Spec, path: Path) -> None:
        if different := [key for key in spec if theirs.get(key) != spec[key]]:
            raise CheckpointError(
                f"{path} cannot be continued: this run differs in {', '.join(different)}. Give the settings it "
                "was started with (config.yaml in its folder), or start a new run with init_from=."
            )

    def initial_model(self, spec: Spec) -> LoadedModel | None:
        """Load the model that `init_from` names, of an ensemble its first network.

        Raises:
            TokenizerError: If it reads other tokens than this run does.
            CheckpointError: If its encoder is built otherwise.
        """
        if not self.config.init_from:
            return None
        source = load(str(self.config.init_from))
        source.model = one_network(source.model)
        source.spec.pop("ensemble", None)
        ours = build_tokenizer(spec)
        if source.tokenizer != ours:
            raise TokenizerError(
                f"init_from={self.config.init_from} reads {source.tokenizer!r}; this run has {ours!r}: their tokens "
                f"mean different things. Set {source.tokenizer.settings()}, or train a language model with this one."
            )
        theirs, mine = (
            {name: part.shape for name, part in outline(item, ours).state_dict().items() if name.startswith("encoder.")}
            for item in (source.spec, spec)
        )
        if theirs != mine:
            different = {
                key: value
                for key, value in source.spec["arch"].items()
                if key != "_target_" and spec["arch"].get(key) != value
            }
            settings = " ".join(f"arch.{key}={value}" for key, value in different.items())
            raise CheckpointError(
                f"init_from={self.config.init_from} does not fit this architecture: set "
                f"{settings or 'the arch= that it was trained with'}."
            )
        letters_of(spec).compared(source.letters, f"init_from={self.config.init_from}")
        return source

    def refuse_worthless(self, results: Mapping[str, Any]) -> None:
        """End a run that has written its results with an exit status that tells what they are worth.

        Raises:
            WorthlessError: If they say why they are worth nothing.
        """
        if results.get("worthless"):
            raise WorthlessError(f"{self.folder}: {results['worthless']}")

    def curves(self) -> list[dict[str, Any]]:
        """Read `metrics.csv`, numbers as floats; empty if there is none."""
        return read_curves(self.folder / CURVES)

    def finish(self, results: dict[str, Any], report: Report, *, name: str = "metrics") -> None:
        """Write `metrics.json` (or another name) and `report.html`, in one process of several; then checkpoints go that
        a run which has ended can do without."""
        if not self.writes:
            return
        write_json(self.folder / f"{name}.json", {**results, "versions": versions()})
        write_report(self.folder / ("report.html" if name == "metrics" else f"{name}.html"), report)
        if name == "metrics" and not results.get("worthless"):
            for old in (PREVIOUS,) if self.config.checkpoint.keep else (PREVIOUS, LAST, BEST):
                (self.checkpoints / old).unlink(missing_ok=True)
            with suppress(OSError):  # where something is left in it
                self.checkpoints.rmdir()


# Overrides of the whole that a part gets from here instead.
OWN = ("stage=", "stage.", "run.name=", "init_from=", "paths.run_dir=", "resume=", "+stage=", "++stage=")


def sub_run(run: Run, name: str, stage: str, init_from: str | None, extra: list[str] | None = None) -> Run:
    """Compose one stage as if it had been started alone with the same overrides, in a sub-folder of the run.

    Nothing is written: `Run.prepare` makes the folder.
    """
    folder = run.folder / name
    dropped = OWN if stage == "classify" else (*OWN, "head=", "loss=", "loss.")  # a language model has its own
    overrides = [item for item in run.overrides if not item.startswith(dropped)]
    overrides += [f"stage={stage}", assign("run.name", f"{run.config.run.name}_{name}")]
    overrides += [assign("paths.run_dir", folder)]
    overrides += [assign("init_from", init_from) if init_from else "init_from=null"]  # not what an experiment may say
    overrides += [] if stage == "classify" else ["ensemble=1", "blend=false"]
    overrides += extra or []
    config = settle(compose(overrides), overrides)
    validate(config)
    config.resume = run.config.resume  # a part takes its weights from the one before it, and may still be continued
    return Run(config, folder, overrides)


def read_config(folder: Path) -> DictConfig | None:
    """Read what a run was started with; None where the folder is not a run's.

    Args:
        folder: The run folder, its model folder, or one of its checkpoints.

    Raises:
        ConfigError: If its `config.yaml` is damaged, or says more than plain values.
    """
    folders = [folder, folder.parent]
    if folder.parent.name == CHECKPOINTS:
        folders.append(folder.parent.parent)
    for path in (place / CONFIG for place in folders):
        if path.is_file():
            config = read_plain(path)
            return config if isinstance(config.get("stage"), DictConfig) and "name" in config.stage else None
    return None
