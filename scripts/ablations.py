"""What each part of the recipe brings: the recipe with one change at a time, on every development set, in one table.

    python scripts/ablations.py
    python scripts/ablations.py only=regulondb,enhancers changes=no_bins,no_gaps

only=      names of the sets, with commas; all by default
changes=   names of the changes, with commas; all by default
sequences= most sequences of a set (4,000)
output=    folder of the runs and of ablations.md (outputs/ablations)
plan=      sets and changes (scripts/ablations.yaml)

The test part of a set is left out before anything else. What is left, at most `sequences`, is split anew by homology:
half of it is held out and scored once by each network, an eighth chooses the epoch, the rest is learned from. Finished
runs are skipped, and one that was cut off continues.
"""

import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from gulmfit.cli.options import Function, Option, is_not_one_of
from gulmfit.cli.words import HELP, command, log_to_stdout
from gulmfit.config import compose, instantiate, validate
from gulmfit.errors import ConfigError
from gulmfit.evaluate.uncertainty import paired_bootstrap
from gulmfit.files import whole_file, write_whole
from gulmfit.overrides import assign
from gulmfit.report.table import format_table
from gulmfit.seq.labels.labelled import LabelledSequences
from gulmfit.train.recipe import settle
from gulmfit.train.run import Run
from gulmfit.train.search.trial_runs import held_back, logged_in
from gulmfit.train.stages.classify import learn_labels
from gulmfit.train.stages.scoring import calibrate

PLAN = Path(__file__).resolve().with_suffix(".yaml")
OPTIONS = {"only": "", "changes": "", "sequences": 4000, "output": "outputs/ablations", "plan": str(PLAN)}
SPLIT = ["split=homology", "split.valid_fraction=0.125", "split.test_fraction=0.5"]
RECIPE = "recipe"

logger = logging.getLogger("gulmfit.ablations")


@dataclass
class Scored:
    """What a network predicts of the part that was held out: labels (N,), probabilities (N, C), groups (N,)."""

    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]
    seconds: float


def known_sequences(words: Sequence[str], most: int) -> LabelledSequences:
    """Read a set without its test part, at most so many sequences of it."""
    config = compose([*words, "stage=classify"])
    data: LabelledSequences = instantiate(config.data).labelled()
    kept = np.flatnonzero(instantiate(config.split)(data) != "test")
    chosen = np.random.default_rng(0).permutation(kept)[:most]
    subset = data.subset(np.sort(chosen))
    subset.splits = None
    return subset


def held_out(data: LabelledSequences, words: Sequence[str], folder: Path) -> Scored:
    """Train one network, unless it has been trained before, and predict what is held out.

    Raises:
        ConfigError: If it was trained with other words or on other sequences.
    """
    kept, asked = folder / "held_out.npz", [*words, f"{len(data)} sequences", data.ids[0], data.ids[-1]]
    if not kept.is_file():
        predicted = _predicted(data, words, folder)
        with whole_file(kept) as unfinished, unfinished.open("wb") as handle:
            np.savez(handle, asked=asked, **predicted)
    with np.load(kept) as found:
        if found["asked"].tolist() != asked:
            raise ConfigError(f"{folder} was trained with {' '.join(found['asked'])}: name another output=.")
        return Scored(found["labels"], found["probabilities"], found["groups"], float(found["seconds"]))


def _predicted(data: LabelledSequences, words: Sequence[str], folder: Path) -> dict[str, Any]:
    given = [
        *words, "stage=classify", *SPLIT, "resume=auto", "checkpoint.keep=false", "leakage=ignore",
        "trainer.enable_progress_bar=false", assign("run.name", folder.name), assign("paths.run_dir", folder),
    ]  # fmt: skip
    config = settle(compose(given), given)
    validate(config)
    run = Run(config, folder, given)
    logger.info("%s", folder)
    with held_back(), logged_in(run):
        learned = learn_labels(run.prepare(), instantiate(config.data), data)
    if learned.fitted is None or learned.predictor is None:
        raise ConfigError("each network is trained in one process: set trainer.devices=1.")
    parts, predictor, batch_size = learned.material.parts, learned.predictor, int(config.batch_size)
    calibrate(predictor, parts["valid"], str(config.calibration), batch_size)
    return {
        "labels": parts["test"].labels,
        "probabilities": predictor.of_part(parts["test"], batch_size=batch_size),
        "groups": learned.material.groups_of("test"),
        "seconds": learned.fitted.seconds,
    }


def difference(changed: Scored, recipe: Scored) -> dict[str, float]:
    """Return the AUROC of a change less that of the recipe, with its 95 % interval over groups of relatives."""
    positive = 1 if recipe.probabilities.shape[1] == 2 else None
    found = paired_bootstrap(
        recipe.labels, recipe.probabilities, changed.probabilities, positive=positive, groups=recipe.groups
    )
    return found["auroc"]


def ensemble_of(members: Sequence[Scored]) -> Scored:
    """Average the probabilities of networks."""
    mean = np.mean([one.probabilities for one in members], axis=0)
    return Scored(members[0].labels, mean, members[0].groups, sum(one.seconds for one in members))


def row_of(title: str, found: Mapping[str, tuple[dict[str, float], float]]) -> dict[str, object]:
    """Lay out a change: its mean over sets, on how many it is clearly lower or higher, its time, and every set."""
    gains = [item for item, _ in found.values()]
    # Sets are independent of each other, so the squares of their standard errors add up.
    error = float(np.sqrt(sum(((one["high"] - one["low"]) / 3.92) ** 2 for one in gains))) / len(gains)
    mean = float(np.mean([one["difference"] for one in gains]))
    return {
        "change": title,
        "mean": f"{mean:+.4f} [{mean - 1.96 * error:+.4f}, {mean + 1.96 * error:+.4f}]",
        "lower": sum(one["high"] < 0 for one in gains),
        "higher": sum(one["low"] > 0 for one in gains),
        "time": f"{np.median([ratio for _, ratio in found.values()]):.2f}",
        **{name: _shown(one) for name, (one, _) in found.items()},
    }


def _shown(one: Mapping[str, float]) -> str:
    return f"{one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"


def chosen(words: str, among: Mapping[str, Any], option: str) -> list[str]:
    """Return the names that an option lists; all where it lists none."""
    names = words.split(",") if words else list(among)
    if unknown := [name for name in names if name not in among]:
        raise ConfigError(f"{option}={words}: {unknown[0]!r} {is_not_one_of(unknown[0], among)}")
    return names


@command
def main() -> None:
    """Train, score, print."""
    if HELP & set(sys.argv):
        sys.exit(__doc__)
    log_to_stdout()
    options = {key: Option(key, type(value).__name__, value) for key, value in OPTIONS.items()}
    words = Function(__doc__ or "", options).read(sys.argv[1:], __doc__ or "")
    plan = yaml.safe_load(Path(words["plan"]).read_text(encoding="utf-8"))
    sets = chosen(words["only"], plan["sets"], "only")
    changes = chosen(words["changes"], plan["changes"], "changes")
    output, rows = Path(words["output"]), dict[str, dict[str, tuple[dict[str, float], float]]]()
    for place, name in enumerate(sets, start=1):
        own = [*plan["sets"][name], f"recipe={plan['recipe']}"]
        data = known_sequences(own, int(words["sequences"]))
        logger.info("── %s (%d of %d): %d sequences ──", name, place, len(sets), len(data))
        # The split stays that of seed 0, whatever the seed of a network.
        recipe = [*own, "split.seed=0"]
        seeds = [
            held_out(data, [*recipe, f"seed={seed}"], output / name / f"{RECIPE}_{seed}") for seed in plan["seeds"]
        ]
        first = seeds[0]
        found = {f"seed={seed}": one for seed, one in zip(plan["seeds"][1:], seeds[1:], strict=True)}
        found[f"ensemble={len(seeds)}"] = ensemble_of(seeds)
        for change in changes:
            entry = plan["changes"][change]
            found[entry["title"]] = held_out(data, [*recipe, *entry["words"]], output / name / change)
        for title, one in found.items():
            rows.setdefault(title, {})[name] = difference(one, first), one.seconds / first.seconds
    table = [row_of(title, found) for title, found in rows.items()]
    text = format_table(table, list(table[0]))
    write_whole(output / "ablations.md", f"{text}\n")
    logger.info("%s\n%s", text, output / "ablations.md")


if __name__ == "__main__":
    main()
