"""What `gulmfit-evaluate` claims: no narrower intervals for copies, and what was calibrated on which strand."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gulmfit.commands import evaluate
from gulmfit.commands.evaluate import evaluate_file
from gulmfit.evaluate.calibration import Calibration
from gulmfit.report.kinds.single_label import SingleLabel
from gulmfit.seq.alphabet import DNA, Letters
from gulmfit.seq.splits.split_file import sequence_digest

RNG = np.random.default_rng(0)
TEXTS = ["".join(RNG.choice(list("ACGT"), 40)) for _ in range(60)]
SCORES = dict(zip(TEXTS, RNG.random(60), strict=True))


@pytest.fixture(autouse=True)
def stand_in_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(sequences: list[str], **_: Any) -> np.ndarray:
        positive = np.array([SCORES[text] for text in sequences])
        return np.stack([1 - positive, positive], axis=1)

    model = SimpleNamespace(
        tokenizer=SimpleNamespace(alphabet=DNA, summary=dict),
        kind=SingleLabel,
        classes=["no", "yes"],
        positive="yes",
        letters=Letters(),
        reads_ahead=False,
        calibration=Calibration(threshold=0.3),
        blend=None,
        predict=predict,
    )
    monkeypatch.setattr(evaluate.Predictor, "load", lambda *_, **options: model)
    monkeypatch.setattr(evaluate, "files_of", lambda _: [])
    monkeypatch.setattr(evaluate, "digest_of_model", lambda _: "0" * 64)
    monkeypatch.setattr(evaluate, "trained_on_of", lambda _: None)


def evaluated(folder: Path, copies: int, strand: str = "forward") -> dict[str, Any]:
    rows = [f"{text},{'no' if i % 2 else 'yes'}" for i, text in enumerate(TEXTS) for _ in range(copies)]
    (folder / "t.csv").write_text("\n".join(["sequence,label", *rows]) + "\n")
    words = ["data=table", f"data.path={folder / 't.csv'}", f"paths.cache_dir={folder}"]
    return evaluate_file(model="mine", data_overrides=words, output="", strand=strand, batch_size=8)


def test_copies_do_not_narrow_an_interval(tmp_path: Path) -> None:
    once, tenfold = (evaluated(tmp_path, copies)["ci95"]["test/accuracy"] for copies in (1, 10))
    assert tenfold[1] - tenfold[0] == pytest.approx(once[1] - once[0], rel=0.25)  # by single sequences a third


@pytest.mark.usefixtures("unrendered")
def test_the_validated_threshold_is_judged_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = evaluated(tmp_path, 1, "average")
    called = np.array([SCORES[text] >= 0.3 for text in TEXTS])
    assert found["metrics"]["test/accuracy_at_threshold"] == pytest.approx((called == (np.arange(60) % 2 == 0)).mean())
    assert found["strand"] == "average"
    assert "strand=average" in caplog.text


@pytest.mark.parametrize("label", ["yes", "no"])
def test_one_class_is_enough_to_be_scored(tmp_path: Path, label: str) -> None:
    """Positives alone have no AUROC, but an accuracy: the share that the model finds."""
    (tmp_path / "t.csv").write_text("\n".join(["sequence,label", *(f"{text},{label}" for text in TEXTS)]) + "\n")
    words = ["data=table", f"data.path={tmp_path / 't.csv'}", f"paths.cache_dir={tmp_path}"]
    output = tmp_path / "scored"
    found = evaluate_file(model="mine", data_overrides=words, output=str(output))
    called = np.array([SCORES[text] >= 0.5 for text in TEXTS])
    assert found["metrics"]["test/accuracy"] == pytest.approx((called == (label == "yes")).mean())
    assert found["data"]["counts"] == {"test": 60}
    assert (output / "report.html").is_file()


def test_what_the_model_was_trained_on_is_told_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [f"{sequence_digest(text)}\ttrain" for text in TEXTS[:20]]
    table = tmp_path / "trained_on.tsv"
    table.write_text("\n".join(["digest\tpart", *rows]) + "\n")
    monkeypatch.setattr(evaluate, "trained_on_of", lambda _: table)
    found = evaluated(tmp_path, 1)
    assert found["leakage"]["pairs"]["train->test"]["any"]["count"] == 20
    assert "20 of 60" in caplog.text
    rest = found["without_leaked"]
    called = np.array([SCORES[text] >= 0.5 for text in TEXTS[20:]])
    assert rest["sequences"] == 40
    assert rest["scores"]["accuracy"] == pytest.approx((called == (np.arange(40) % 2 == 0)).mean())
    assert found["model"]["sha256"] == "0" * 64
