"""What a score hides, in a sentence with the key that answers it: a rare class, and windows that are aligned."""

from collections.abc import Mapping
from typing import Any

from gulmfit.report.wording import finite, model_name

# A class with a smaller share of the training part is rare: who never calls it is right in four of five cases.
RARE = 0.2
SIGNIFICANT = 0.05
# Baselines that see which letter stands at which index.
_POSITIONAL = "onehot_"


def cautions(results: Mapping[str, Any], scores: Mapping[str, float], headline: str, tests: Mapping[str, Any]) -> str:
    """Return what to be told next to the verdict on a classifier; empty for nothing.

    Args:
        results: As `gulmfit.report.pages.classification_report` reads them.
        scores: The headline score of the model ("") and of each baseline.
        headline: Its name.
        tests: Of the model against each baseline.
    """
    return _rare_class(results, headline) + _aligned(scores, tests)


def _rare_class(results: Mapping[str, Any], headline: str) -> str:
    counts = ((results.get("data") or {}).get("classes") or {}).get("train") or {}
    told_apart = len(results.get("classes") or ())
    if len(counts) != 2 or told_apart != 2 or headline != "accuracy":
        return ""
    name, count = min(counts.items(), key=lambda item: item[1])
    if (share := count / sum(counts.values())) >= RARE:
        return ""
    weighed = "class_weights: null" not in str(results.get("config_yaml", ""))
    answer = "" if weighed else ", and loss.class_weights=balanced makes both classes count alike"
    return (
        f" Only {share:.1%} of the training sequences are {name!r}, so accuracy is high for whoever never calls it: "
        f"look at AUPRC and MCC{answer}."
    )


def _aligned(scores: Mapping[str, float], tests: Mapping[str, Any]) -> str:
    baselines = {name: score for name, score in scores.items() if name}
    best = max(baselines, key=lambda name: baselines[name], default="")
    if not best.startswith(_POSITIONAL) or baselines[best] <= scores.get("", baselines[best]):
        return ""
    p_value = finite((tests.get(best) or {}).get("p_value"))
    if p_value is None or p_value >= SIGNIFICANT:
        return ""
    return (
        f" The {model_name(best)} baseline only knows which letter stands at which index: the sequences are aligned, "
        "as windows around peaks are. Where the index says nothing of new sequences, move them (data.jitter_bp=10)."
    )
