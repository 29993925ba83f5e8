"""Rules: what must hold of every random case, so that nothing is silently another thing than was given.

A module `fuzz_rules_*.py` beside this one defines `RULES`, a name for each rule to a function of a `random.Random` and
an empty folder: it makes one case in the folder, checks it, and returns None where the rule holds, else one line about
the difference. The names are unique over all modules.
"""

import importlib
import json
import logging
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Rule = Callable[[random.Random, Path], str | None]

SHOWN = 20  # differences of one rule that are told


def find_rules(only: str = "") -> dict[str, Rule]:
    """Collect the rules of all modules.

    Args:
        only: Names of rules with commas between them; all if empty.

    Raises:
        SystemExit: A name is none of a rule, or two rules have one name.
    """
    rules: dict[str, Rule] = {}
    for file in sorted(Path(__file__).resolve().parent.glob("fuzz_rules_*.py")):
        for name, rule in importlib.import_module(file.stem).RULES.items():
            if name in rules:
                raise SystemExit(f"{file.name}: another module has a rule {name!r}, too")
            rules[name] = rule
    chosen = only.split(",") if only else list(rules)
    if unknown := sorted(set(chosen) - set(rules)):
        raise SystemExit(f"unknown rules: {', '.join(unknown)}; known: {', '.join(rules)}")
    return {name: rules[name] for name in chosen}


def run_rules(
    rules: Mapping[str, Rule], cases: int, seed: int = 0, minutes: float | None = None, root: str | None = None
) -> dict[str, Any]:
    """Check rules on random cases.

    Args:
        rules: What to check; the cases are dealt out evenly.
        cases: In all.
        seed: A case follows from it, the name of its rule and its number.
        minutes: To stop after.
        root: Folder in which the cases are made; that of the system for temporary files if None.

    Returns:
        For each rule its cases, differences and seconds, and the first of the differences, each with the seed of
        `random.Random` that makes it again.
    """
    logging.disable(logging.CRITICAL)
    until = time.monotonic() + minutes * 60 if minutes else float("inf")
    found: dict[str, Any] = {}
    try:
        for place, (name, rule) in enumerate(rules.items()):
            left = until - time.monotonic()
            share = time.monotonic() + left / (len(rules) - place)
            found[name] = _run_rule(name, rule, -(-cases // len(rules)), seed, share, root)
    finally:
        logging.disable(logging.NOTSET)
    return found


def _run_rule(name: str, rule: Rule, cases: int, seed: int, until: float, root: str | None) -> dict[str, Any]:
    start, done, told = time.monotonic(), 0, list[str]()
    differences = 0
    with tempfile.TemporaryDirectory(dir=root) as parent:
        folder = Path(parent) / "case"
        while done < cases and time.monotonic() < until:
            case = f"{seed}/{name}/{done}"
            folder.mkdir()
            try:
                difference = rule(random.Random(case), folder)
            except Exception as error:  # whatever is not one of our errors is a difference itself
                difference = f"{type(error).__name__}: {error}"
            shutil.rmtree(folder)
            done += 1
            if difference is not None:
                differences += 1
                if len(told) < SHOWN:
                    told.append(f"{case}: {difference}")
    seconds = round(time.monotonic() - start, 2)
    return {"cases": done, "differences": differences, "seconds": seconds, "first": told}


def report_rules(found: Mapping[str, Any], seed: int, json_file: Path | None) -> int:
    """Print what was found, write it as JSON where wanted, and return the exit status."""
    for name, row in found.items():
        rate = row["cases"] / row["seconds"] if row["seconds"] else 0
        told = f"{row['differences']:>5} differences {row['seconds']:>8} s {rate:>7,.0f}/s"
        print(f"{name:16} {row['cases']:>9,} cases {told}")
        for line in row["first"]:
            print(f"    {line}")
    total = sum(row["cases"] for row in found.values())
    wrong = sum(row["differences"] for row in found.values())
    print(f"{total:,} cases: {wrong} silent differences")
    if json_file:
        summary = {"seed": seed, "cases": total, "differences": wrong, "rules": dict(found)}
        json_file.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return int(wrong > 0)
