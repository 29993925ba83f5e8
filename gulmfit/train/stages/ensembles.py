"""`ensemble=n`: networks of several seeds on one split, put into one model folder that predicts their mean.

A member is an ordinary trial (`gulmfit.train.stages.trials`) in a folder of its own, so that a run which was stopped
goes on with the member it was at.
"""

import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.checkpoint import MODEL_FOLDER, Spec, load, save_model
from gulmfit.data.sources.base import Source
from gulmfit.errors import CheckpointError
from gulmfit.overrides import assign
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.seq.splits.split_file import write_split
from gulmfit.train.loop.fit import Fitted
from gulmfit.train.run import CONFIG, Run
from gulmfit.train.stages.classify import learned_from, materials, run_classifier
from gulmfit.train.stages.concluding import conclude
from gulmfit.train.stages.materials import Material
from gulmfit.train.stages.trials import Trial, run_trials, summarise
from gulmfit.train.survive.identity import LEARNED_FROM

logger = logging.getLogger(__name__)


def run_model(
    run: Run, source: Source, labelled: LabelledSequences | None = None, *, baseline_seed: int | None = None
) -> dict[str, Any]:
    """Train a classifier, or the ensemble that `ensemble` asks for; arguments and results as of `run_classifier`."""
    train = run_classifier if int(run.config.ensemble) == 1 else run_ensemble
    return train(run, source, labelled, baseline_seed=baseline_seed)


def run_ensemble(
    run: Run, source: Source, labelled: LabelledSequences | None = None, *, baseline_seed: int | None = None
) -> dict[str, Any]:
    """Train the members, and calibrate and score the mean of what they predict; arguments as of `run_classifier`."""
    seed = int(run.config.seed) if baseline_seed is None else baseline_seed
    material = materials(run, source, labelled)
    found = _members(run, material, seed)
    if not run.writes or len(found) < int(run.config.ensemble):  # a rank that does not evaluate
        return {}
    write_split(run.folder / "split.tsv", material.labelled, material.where, material.groups)
    folders = [run.folder / result["name"] for result in found]
    spec = _assemble(run, material, folders)
    results = run.facts | ({"transfer": found[0]["transfer"]} if "transfer" in found[0] else {})
    monitor = str(run.config.stage.monitor)
    fitted = Fitted(
        best_score=float(np.mean([result["metrics"][monitor] for result in found])),
        seconds=sum(result["timing"]["seconds"] for result in found),
        tokens_per_second=float(np.mean([result["timing"]["tokens_per_second"] for result in found])),
        is_main=True,
    )
    members = {
        "networks": spec["ensemble"],
        "seeds": [result["seed"] for result in found],
        "members": summarise(found)["model"],
        "each": [{"name": result["name"], "seed": result["seed"], **_scores(result)} for result in found],
    }
    predictor = Predictor.load(run.folder / MODEL_FOLDER)
    return conclude(run, material, predictor, fitted, results, baseline_seed=seed, members=members)


def _members(run: Run, material: Material, baseline_seed: int) -> list[dict[str, Any]]:
    """Train every member that is not there yet; return their results, as `run_trials` does."""
    config, labelled = run.config, material.labelled
    # What else follows from the seed is the same for all: data that is drawn, and the tokens.
    same = [f"data.seed={config.data.seed}"] if "seed" in config.data else []
    learns_tokens = "path" in config.tokenizer and config.tokenizer.path is None and not config.init_from
    tokens = assign("tokenizer.path", run.folder / "member_0" / MODEL_FOLDER / "tokenizer.json")
    trials = [
        Trial(
            f"member_{number}",
            material.where,
            overrides=[
                f"seed={int(config.seed) + number}", "ensemble=1", "blend=false", *same,
                *([tokens] if learns_tokens and number else []),
            ],
            facts={"member": number},
            baseline_seed=baseline_seed,
        )
        for number in range(int(config.ensemble))
    ]  # fmt: skip
    logger.info("classify: an ensemble of %d networks, on one split", len(trials))
    parts = [trials[:1], trials[1:]] if learns_tokens else [trials]
    return [
        result
        for part in parts
        for result in run_trials(run, material.source, labelled, material.groups, part, run_classifier)
    ]


def _assemble(run: Run, material: Material, folders: list[Path]) -> Spec:
    """Write the members' weights into one model folder, and return how it is built.

    Raises:
        CheckpointError: If a member is built otherwise than the first.
    """
    members = [load(folder) for folder in folders]
    specs = [{name: value for name, value in one.spec.items() if name != LEARNED_FROM} for one in members]
    for folder, spec in zip(folders, specs, strict=True):
        if different := [name for name in spec if spec[name] != specs[0].get(name)]:
            raise CheckpointError(
                f"{folder} differs from {folders[0]} in {', '.join(different)}: they cannot predict as one. Remove it, "
                "and resume=auto trains it again."
            )
    material.identity = learned_from(run, material.labelled, material.where, run.initial_model(specs[0]))
    state = {
        f"members.{number}.{name}": tensor
        for number, one in enumerate(members)
        for name, tensor in one.model.state_dict().items()
    }
    spec = {**specs[0], "ensemble": len(members)}
    save_model(run.folder / MODEL_FOLDER, {**spec, LEARNED_FROM: material.identity}, state)
    shutil.copyfile(run.folder / CONFIG, run.folder / MODEL_FOLDER / CONFIG)  # what the leak check reads
    return spec


def _scores(result: dict[str, Any]) -> dict[str, float]:
    return {name.removeprefix("test/"): value for name, value in result["metrics"].items() if "test/" in name}
