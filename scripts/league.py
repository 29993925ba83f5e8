"""The league: the defaults as they are, on every development set, alongside every baseline, in one table.

    python scripts/league.py
    python scripts/league.py only=regulondb,sigma
    python scripts/league.py seed=1 blend=true ensemble=3 output=outputs/league_blend
    python scripts/league.py dry_run=true

only=      names of the sets to run, with commas; all by default
output=    folder of the runs and of league.tsv, league.md and league.png (outputs/league)
sets=      the registry (scripts/league_sets.yaml)
dry_run=   true prints the commands and starts nothing

Every other word goes to each `python train.py`: seed=1, blend=true, trainer.max_steps=20. Finished runs are skipped and
one that was cut off continues, so the same command again takes up where it ended; runs of other settings in the same
folder are refused. A run that fails does not stop the others. The table has all finished sets of the folder. It ends
with 0 if no run failed, with 75 if it was told to stop and its run is saved, and with 1 otherwise.
"""

import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from league_table import closing, draw, every_model, ranks, summary, write_tsv

from gulmfit.cli.options import Function, Option, is_not_one_of
from gulmfit.cli.words import HELP, command, log_to_stdout
from gulmfit.errors import ConfigError
from gulmfit.evaluate.outcomes import Outcome, mean_outcome, read_outcome
from gulmfit.files import write_whole
from gulmfit.report.table import format_table
from gulmfit.train.panel.playing import PlannedRun, plan, play_all

HERE = Path(__file__).resolve().parent
OPTIONS = {"only": "", "output": "outputs/league", "sets": str(HERE / "league_sets.yaml"), "dry_run": False}
NOTE = (
    "Each score is that of the test part, or pooled over folds, with its 95 % interval; p of the sign-flip test of "
    "accuracy; seconds are those of training, twins included. The best baseline is the best on the test part itself."
)

logger = logging.getLogger("gulmfit.league")


def registry(path: Path) -> dict[str, dict[str, Any]]:
    """Read the sets: by name their title, words or runs, score, and what was published.

    Raises:
        ConfigError: If the file cannot be read as such.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        wrong = [
            name for name, entry in found.items() if ("words" in entry) == ("runs" in entry) or "title" not in entry
        ]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise ConfigError(f"sets={path} cannot be read: {error}") from error
    if wrong:
        raise ConfigError(f"sets={path}: {', '.join(wrong)} needs a title, and either words or runs.")
    return dict(found)


def runs_of(name: str, entry: Mapping[str, Any], output: str, extra: Sequence[str]) -> list[PlannedRun]:
    """Compose the runs of a set."""
    found = []
    for part, words in (entry.get("runs") or {"": entry.get("words")}).items():
        own = f"{name}_{part}" if part else name
        given = [*words, f"paths.output_dir={output}", f"run.name={own}", *extra, "resume=auto"]
        found.append(plan(own, part, given))
    return found


def result_of(name: str, entry: Mapping[str, Any], runs: Sequence[PlannedRun]) -> Outcome | None:
    """Read the results of a set; None where a run of it is missing or of other settings."""
    score = str(entry.get("score", "accuracy"))
    try:
        if not all(run.finished() for run in runs):
            return None
    except ConfigError:
        return None
    found = [read_outcome(run.part or run.name, score, run.results()) for run in runs]
    return mean_outcome(name, score, found) if "runs" in entry else found[0]


def report(sets: Mapping[str, Mapping[str, Any]], results: Sequence[Outcome], output: Path) -> str:
    """Write the table as TSV, Markdown and picture, and return what is printed."""
    titles = {name: str(entry["title"]) for name, entry in sets.items()}
    published = [
        {"set": titles[item.name], "published": sets[item.name]["published"]}
        for item in results
        if sets[item.name].get("published")
    ]
    whole = summary(results, titles)
    chapters = [
        ("Sets", whole), ("Published", format_table(published, ["set", "published"]) if published else ""),
        ("Every model", every_model(results)), ("Accuracy at each rank", ranks(results)),
    ]  # fmt: skip
    ending = closing(results)
    text = "\n\n".join(f"## {title}\n\n{table}" for title, table in chapters if table)
    write_whole(output / "league.md", f"# The league\n\n{NOTE}\n\n{text}\n\n{ending}\n")
    write_tsv(output / "league.tsv", results)
    draw(output / "league.png", results)
    return f"\n{whole}\n\n{every_model(results)}\n\n{output / 'league.md'}\n\n{ending}"


@command
def main() -> None:
    """Run, read, print."""
    if HELP & set(sys.argv):
        sys.exit(__doc__)
    log_to_stdout()
    own = [word for word in sys.argv[1:] if word.partition("=")[0] in OPTIONS]
    extra = [word for word in sys.argv[1:] if word not in own]
    options = {key: Option(key, type(value).__name__, value) for key, value in OPTIONS.items()}
    words = Function(__doc__ or "", options).read(own, __doc__ or "")
    sets = registry(Path(words["sets"]))
    chosen = words["only"].split(",") if words["only"] else list(sets)
    if unknown := [name for name in chosen if name not in sets]:
        raise ConfigError(f"only={words['only']}: {unknown[0]!r} {is_not_one_of(unknown[0], sets)}")
    runs = {name: runs_of(name, entry, words["output"], extra) for name, entry in sets.items()}
    due = [run for name in chosen for run in runs[name]]
    if words["dry_run"]:
        sys.stdout.writelines(f"{shlex.join(run.command)}\n" for run in due)
        return
    failed = play_all(due, workers=1, quiet=False)
    results = [found for name, entry in sets.items() if (found := result_of(name, entry, runs[name]))]
    if results:
        logger.info("%s", report(sets, results, Path(words["output"])))
    for name, told in failed.items():
        sys.stderr.write(f"{name}: {told}\n")
    if failed or not results:
        sys.exit(1)


if __name__ == "__main__":
    main()
