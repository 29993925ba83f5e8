"""A card says what was recorded, says what was not, and lets nothing from a file become markup."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange.card import MISSING, code, model_card, write_card

HOSTILE = "x](http://evil.example) <script>alert(1)</script> | `rm -rf` **b**\n# heading\n---\nlicense: mit"

METRICS = {
    "stage": "classify",
    "run": "mine",
    "seed": 7,
    "metrics": {"test/accuracy": 0.91234, "test/mcc": 0.8, "val/accuracy": 0.7},
    "ci95": {"test/accuracy": [0.88, 0.94]},
    "baselines": {"kmer_logistic": {"accuracy": 0.85, "mcc": 0.7, "ci95": {"accuracy": [0.82, 0.89]}}},
    "calibration": {"test": {"before": {"ece": 0.12}, "after": {"ece": 0.03}}},
    "leakage": {"pairs": {"train->test": {"exact": {"count": 3, "fraction": 0.015, "examples": ["secret_id"]}}}},
    "without_leaked": {"sequences": 197, "scores": {"accuracy": 0.905}},
    "data": {
        "files": [{"name": "/home/someone/reads.csv", "sha256": "ab" * 32}, "/home/someone/other.csv"],
        "counts": {"train": 900, "test": 200},
        "split": {"_target_": "gulmfit.seq.splits.split.HomologySplit", "k": 20},
    },
    "transfer": {"from": "/home/someone/outputs/pretrain/coli"},
    "versions": {"torch": "2.13.0"},
}


def card(run: Path, **words: str) -> str:
    return model_card(load(run), **{"license": "unknown", "repo": "owner/name", **words})


def front_matter(text: str) -> dict[str, Any]:
    _, header, _ = text.split("---\n", 2)
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in header.splitlines())}


def test_the_front_matter_says_what_a_hub_wants_to_know(make_model: Any) -> None:
    classifier = front_matter(card(make_model("c", classes=["a", "b"]), license='mit"\nevil: true'))
    assert classifier["license"] == 'mit"\nevil: true'
    assert classifier["pipeline_tag"] == "text-classification"
    assert {"genomics", "ulmfit"} <= set(classifier["tags"])
    assert front_matter(card(make_model("l")))["pipeline_tag"] == "text-generation"


def test_it_has_scores_with_intervals_beside_the_baselines(make_model: Any) -> None:
    run = make_model(classes=["a", "b"], calibration={"kind": "temperature", "temperature": 2.0, "threshold": 0.37})
    (run / "metrics.json").write_text(json.dumps(METRICS))
    (run / "config.yaml").write_text("drop_mult: 0.4\nbptt: 70\noptimizer:\n  _target_: torch.optim.AdamW\n")
    text = card(run)
    assert "| **this model** | 0.912 [0.880, 0.940] | 0.800 |" in text
    assert "| `kmer_logistic` | 0.850 [0.820, 0.890] | 0.700 |" in text
    for said in (
        "ab" * 32, "not recorded", "3 (1.5 %)", "On the 197 test sequences", "`0.37`", "ece 0.120", "ece 0.030",
        "HomologySplit(k=20)", "AdamW", "`0.4`", "gulmfit-export pull repo=owner/name",
    ):  # fmt: skip
        assert said in text, said
    for nobodys_business in ("/home/someone", "secret_id"):
        assert nobodys_business not in text


def test_what_is_missing_is_said_to_be_missing(make_model: Any) -> None:
    sections = dict(re.findall(r"^## (.+)\n\n((?:(?!^## ).*\n)*)", card(make_model(classes=["a", "b"])), re.MULTILINE))
    for title in ("Training data", "Results", "Leakage", "Training", "Versions"):
        assert MISSING in sections[title], title
    assert "not calibrated" in sections["Calibration"]
    assert "not a medical device" in sections["Intended use and limits"]


def test_scores_without_a_baseline_say_so(make_model: Any) -> None:
    run = make_model(classes=["a", "b"])
    (run / "metrics.json").write_text(json.dumps({"metrics": {"test/accuracy": 0.9}}))
    assert "nothing to be compared with" in card(run)


def outside_code(text: str) -> str:
    """Remove fenced blocks and code spans, as CommonMark finds them: what is left is markup."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", text)


def test_nothing_from_a_file_becomes_markup(make_model: Any) -> None:
    run = make_model(classes=[HOSTILE, "b"])
    metrics: dict[str, Any] = {
        "run": HOSTILE, "stage": HOSTILE, "seed": HOSTILE,
        "metrics": {f"test/{HOSTILE}": 0.5}, "baselines": {HOSTILE: {HOSTILE: HOSTILE}},
        "calibration": {"test": {HOSTILE: {HOSTILE: HOSTILE}}},
        "leakage": {"pairs": {HOSTILE: {"exact": {"count": 1, "fraction": 0.1}}}},
        "data": {"files": [{"name": HOSTILE, "sha256": HOSTILE}], "counts": {HOSTILE: HOSTILE},
                 "classes": {HOSTILE: {HOSTILE: HOSTILE}}, "split": HOSTILE, "strands": HOSTILE},
        "transfer": {"from": HOSTILE}, "versions": {HOSTILE: HOSTILE},
    }  # fmt: skip
    (run / "metrics.json").write_text(json.dumps(metrics))
    (run / "config.yaml").write_text(json.dumps({"optimizer": HOSTILE, "schedule": {HOSTILE: HOSTILE}}))
    text = card(run)
    left = outside_code(text)
    assert "alert" in text
    for piece in ("evil", "script", "**b**", "# heading", "rm -rf"):
        assert piece not in left, left[left.index(piece) - 200 :]
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert tables
    assert all(re.search(r"(?<!\\)\|$", line) for line in tables)


@pytest.mark.parametrize(
    ("value", "span"), [("a", "`a`"), ("a`b", "`` a`b ``"), ("", "(empty)"), ("a\n\x00b", "`a b`")]
)
def test_a_code_span_outruns_the_backticks_in_it(value: str, span: str) -> None:
    assert code(value) == span


def test_damaged_records_and_names_are_refused(make_model: Any, tmp_path: Path) -> None:
    run = make_model(classes=["a", "b"])
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        card(run, repo="a/b/../c")
    (run / "config.yaml").write_text("a: [")
    with pytest.raises(CheckpointError, match=r"config\.yaml is damaged"):
        card(run)
    (run / "metrics.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"metrics\.json is damaged"):
        write_card(model=str(run), output=str(tmp_path / "README.md"), license="mit", repo="a/b")
    assert not (tmp_path / "README.md").exists()
