"""An ONNX file computes what the model computes, for any batch and length, and needs no torch to do it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange import to_onnx
from gulmfit.exchange.to_onnx import TOLERANCE, ClassifierGraph, LanguageModelGraph, export_onnx, interpolate
from gulmfit.models import classifier
from gulmfit.models.language_model import LanguageModel
from gulmfit.predict.predictor import Predictor
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer

onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[3]
TEMPERATURE = {"kind": "temperature", "temperature": 1.7, "knots": [], "threshold": 0.4}
ISOTONIC = {
    "kind": "isotonic",
    "temperature": 1.0,
    "knots": [[0.001, 0.1], [0.3, 0.3], [0.31, 0.7], [0.999, 0.9]],
    "threshold": 0.4,
}


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def random_batch(tokens_in_vocabulary: int, sizes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.tensor(sizes)
    tokens = torch.randint(1, tokens_in_vocabulary, (len(sizes), max(sizes)))
    tokens[torch.arange(max(sizes)) >= lengths.unsqueeze(1)] = 0
    return tokens, lengths


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 3])
def test_a_classifier_gives_the_same_probabilities(make_model: Any, tmp_path: Path, cell: str, layers: int) -> None:
    run = make_model(classes=["a", "b", "c"], cell=cell, layers=layers, calibration=TEMPERATURE)
    assert export_onnx(model=str(run), output=str(tmp_path / "m.onnx")) < 1e-5
    exported, predictor = session(tmp_path / "m.onnx"), Predictor.load(run, device="cpu")
    for sizes in ([1], [4], [1, 1, 1, 1, 1], [9, 2, 1], [60, 59, 3, 17, 1, 60, 8]):
        tokens, lengths = random_batch(len(predictor.tokenizer), sizes)
        calibrated, raw = exported.run(None, {"tokens": tokens.numpy(), "lengths": lengths.numpy()})
        with torch.no_grad():
            expected = predictor.model(tokens, lengths)[0].softmax(-1).numpy()
        np.testing.assert_allclose(raw, expected, atol=1e-6)
        np.testing.assert_allclose(calibrated, predictor.calibrated(expected), atol=1e-6)


def check_exported(run: Path, file: Path) -> None:
    assert export_onnx(model=str(run), output=str(file)) < 1e-5
    exported, predictor = session(file), Predictor.load(run, device="cpu")
    for sizes in ([4], [9, 2, 1], [60, 59, 3, 17, 1, 60, 8]):
        tokens, lengths = random_batch(len(predictor.tokenizer), sizes)
        raw = exported.run(None, {"tokens": tokens.numpy(), "lengths": lengths.numpy()})[1]
        with torch.no_grad():
            expected = predictor.model(tokens, lengths)[0].softmax(-1).numpy()
        np.testing.assert_allclose(raw, expected, atol=1e-6)


@pytest.mark.parametrize("strands", ["forward", "both", "symmetric"])
@pytest.mark.parametrize("own", [{}, {"_target_": "gulmfit.models.conv_rnn.ConvRNN", "embed_size": 4, "filters": 6}])
def test_both_strands_and_stretches_are_in_the_file(
    make_model: Any, tmp_path: Path, strands: str, own: dict[str, Any]
) -> None:
    run = make_model(classes=["a", "b", "c"], arch={**own, "strands": strands}, bins=4)
    check_exported(run, tmp_path / "m.onnx")


@pytest.mark.parametrize("strands", ["forward", "symmetric"])
def test_weights_of_gapped_kmers_are_in_the_file(make_model: Any, tmp_path: Path, strands: str) -> None:
    arch = {"_target_": "gulmfit.models.conv_rnn.ConvRNN", "embed_size": 4, "filters": 6, "strands": strands}
    run = make_model(classes=["a", "b"], k=2, stride=1, arch=arch, gaps=3)
    check_exported(run, tmp_path / "m.onnx")


def test_padding_and_batch_mates_change_nothing(make_model: Any, tmp_path: Path) -> None:
    run = make_model(classes=["a", "b"])
    export_onnx(model=str(run), output=str(tmp_path / "m.onnx"))
    exported = session(tmp_path / "m.onnx")
    tokens, lengths = random_batch(67, [5, 30, 12])
    together, _ = exported.run(None, {"tokens": tokens.numpy(), "lengths": lengths.numpy()})
    for row, length in enumerate(lengths.tolist()):
        alone, _ = exported.run(None, {"tokens": tokens[row : row + 1, :length].numpy(), "lengths": np.array([length])})
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)


def test_one_pass_equals_the_windows_of_the_original(make_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = load(make_model(classes=["a", "b"])).model
    assert isinstance(original, classifier.SequenceClassifier)
    tokens, lengths = random_batch(67, [50, 31, 7, 1])
    graph = ClassifierGraph(original)
    monkeypatch.setattr(classifier, "EVALUATION_WINDOW", 7)
    with torch.no_grad():
        windows = original(tokens, lengths)[0].softmax(-1)
        torch.testing.assert_close(graph(tokens, lengths)[1], windows, atol=1e-6, rtol=0)


@pytest.mark.parametrize("knots", [((0.3, 0.6),), ((0.0, 0.1), (0.25, 0.1), (0.250001, 0.7), (1.0, 0.9))])
def test_interpolation_is_that_of_numpy(knots: tuple[tuple[float, float], ...]) -> None:
    x = torch.cat([torch.rand(200), torch.tensor([0.0, 0.25, 0.2500005, 0.250001, 1.0])]).double()
    expected = np.interp(x.numpy(), *np.array(knots).T)
    np.testing.assert_allclose(interpolate(x.unsqueeze(1), knots).squeeze(1).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 30.0])
def test_calibration_is_that_of_predictions_also_where_a_probability_is_next_to_nothing(
    make_model: Any, temperature: float
) -> None:
    run = make_model(classes=["a", "b", "c"], calibration={**TEMPERATURE, "temperature": temperature})
    predictor = Predictor.load(run, device="cpu")
    raw = torch.tensor([[1.0, 0.0, 0.0], [1e-30, 1.0, 1e-9], [0.2, 0.3, 0.5]], dtype=torch.float64)
    ours = ClassifierGraph(predictor.model, temperature).calibrated(raw)
    np.testing.assert_allclose(ours.numpy(), predictor.calibrated(raw.numpy()), rtol=1e-9)


@pytest.mark.parametrize(
    ("head", "names", "options"),
    [
        ("MultiLabelClassifier", ["label_sets"], {}),
        ("SequenceRegressor", ["values"], {"location": [1000.0, -3.0], "scale": [250.0, 0.01]}),
    ],
)
def test_label_sets_and_values_are_exported_too(
    make_model: Any, tmp_path: Path, head: str, names: list[str], options: dict[str, Any]
) -> None:
    run = make_model(classes=["a", "b"])
    config = run / "model" / "config.json"
    spec = json.loads(config.read_text())
    spec["head"] |= {"_target_": f"gulmfit.models.classifier.{head}", **options}
    config.write_text(json.dumps(spec))
    assert export_onnx(model=str(run), output=str(tmp_path / "m.onnx")) < 1e-5
    card, exported = json.loads((tmp_path / "m.json").read_text()), session(tmp_path / "m.onnx")
    assert [output.name for output in exported.get_outputs()] == names == list(card["outputs"])
    model = load(run).model
    assert isinstance(model, classifier.SequenceClassifier)
    tokens, lengths = random_batch(67, [7, 3])
    with torch.no_grad():
        expected = model.outputs(model(tokens, lengths)[0])
    (found,) = exported.run(None, {"tokens": tokens.numpy(), "lengths": lengths.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)


def test_isotonic_calibration_is_in_the_file(make_model: Any, tmp_path: Path) -> None:
    run = make_model(classes=["a", "b"], calibration=ISOTONIC)
    export_onnx(model=str(run), output=str(tmp_path / "m.onnx"))
    tokens, lengths = random_batch(67, [int(size) for size in np.random.default_rng(0).integers(1, 40, 64)])
    calibrated, raw = session(tmp_path / "m.onnx").run(None, {"tokens": tokens.numpy(), "lengths": lengths.numpy()})
    positive = np.interp(raw[:, 1].astype(float), *np.array(ISOTONIC["knots"]).T)
    np.testing.assert_allclose(calibrated, np.stack([1 - positive, positive], 1), atol=1e-6)
    assert len(np.unique(calibrated[:, 1])) > 2


SUB_WORDS = SubwordRecipe(kind="bpe", vocab_size=40).learn(["ACGTTGCAACGGTACCATTGAC" * 40])


@pytest.mark.parametrize("tokenizer", [SUB_WORDS, KmerTokenizer(1, 1, "protein")], ids=["sub-words", "proteins"])
@pytest.mark.parametrize("classes", [None, ["no", "yes"]], ids=["language model", "classifier"])
def test_other_tokens_are_exported_too(
    make_model: Any, tmp_path: Path, tokenizer: Tokenizer, classes: list[str] | None
) -> None:
    """The export itself compares with the model, on sequences that the tokenizer reads."""
    run = make_model(classes=classes, tokenizer=tokenizer, legal=False, layers=1)
    assert export_onnx(model=str(run), output=str(tmp_path / "m.onnx")) < 1e-5


@pytest.mark.parametrize(
    ("cell", "legal", "k", "stride"), [("lstm", True, 3, 2), ("gru", False, 3, 2), ("lstm", True, 2, 3)]
)
def test_a_language_model_gives_the_same_nats_and_state(
    make_model: Any, tmp_path: Path, cell: str, legal: bool, k: int, stride: int
) -> None:
    run = make_model(cell=cell, legal=legal, k=k, stride=stride)
    assert export_onnx(model=str(run), output=str(tmp_path / "m.onnx")) < 1e-5
    exported, loaded = session(tmp_path / "m.onnx"), load(run)
    card = json.loads((tmp_path / "m.json").read_text())
    state, parts = None, {name: np.zeros((1, 3, size), np.float32) for name, size in card["state"].items()}
    for length in (1, 5, 2):
        tokens = torch.randint(0, len(loaded.tokenizer), (3, length))
        log_p, *after = exported.run(None, {"tokens": tokens.numpy(), **parts})
        parts = dict(zip(card["state"], after, strict=True))
        np.testing.assert_allclose(np.exp(log_p).sum(-1), 1, atol=1e-5)
        possible = np.isfinite(log_p)
        with torch.no_grad():
            for token in range(loaded.tokenizer.num_special, len(loaded.tokenizer)):
                output = loaded.model(tokens, torch.full_like(tokens, token), state)
                seen = possible[..., token]
                np.testing.assert_allclose(
                    -log_p[..., token][seen], output.losses.view(3, length).numpy()[seen], atol=1e-5
                )
        state = output.state
        for ours, theirs in zip(after, (part for layer in state for part in layer), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)


def test_only_what_can_follow_is_possible(make_model: Any) -> None:
    loaded = load(make_model(k=3, stride=2))
    assert isinstance(loaded.model, LanguageModel)
    names = loaded.tokenizer.vocabulary()
    tokens = torch.arange(len(names)).view(1, -1)
    state = [part for layer in loaded.model.encoder.initial_state(1) for part in layer]
    with torch.no_grad():
        log_p = LanguageModelGraph(loaded.model)(tokens, *state)[0][0]
    for token, name in enumerate(names):
        following = {other for other, score in zip(names, log_p[token].tolist(), strict=True) if score > -np.inf}
        legal = {other for other in names[3:] if token < 3 or other.startswith(name[2:])}
        assert following == legal, name


def test_a_file_that_differs_is_not_kept(make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_model(classes=["a", "b"])
    monkeypatch.setattr(to_onnx, "_distance", lambda ours, theirs: TOLERANCE * 1.1)
    with pytest.raises(CheckpointError, match=r"ONNX .*\d, .*\b0\.0001, .*opset="):
        export_onnx(model=str(run), output=str(tmp_path / "out" / "m.onnx"))
    assert not list((tmp_path / "out").iterdir())


def test_the_check_sees_one_wrong_weight(make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_model()
    trace = to_onnx._trace

    def spoil(graph: torch.nn.Module, *rest: Any) -> None:
        with torch.no_grad():
            graph.head.bias[10] += 0.01  # type: ignore[union-attr, index, operator]
        trace(graph, *rest)
        with torch.no_grad():
            graph.head.bias[10] -= 0.01  # type: ignore[union-attr, index, operator]

    monkeypatch.setattr(to_onnx, "_trace", spoil)
    with pytest.raises(CheckpointError, match=r"ONNX .*\d, .*\b0\.0001, .*opset="):
        export_onnx(model=str(run), output=str(tmp_path / "m.onnx"))


@pytest.mark.parametrize("opset", [14, 20])
def test_every_opset_of_the_range_works(make_model: Any, tmp_path: Path, opset: int) -> None:
    run = make_model(classes=["a", "b"], cell="gru", calibration=TEMPERATURE)
    assert export_onnx(model=str(run), output=str(tmp_path / "m.onnx"), opset=opset) < TOLERANCE


@pytest.mark.parametrize(("output", "opset", "says"), [("m.pt", 17, r"\.onnx"), ("m.onnx", 99, "opset=99")])
def test_what_cannot_be_is_refused(make_model: Any, tmp_path: Path, output: str, opset: int, says: str) -> None:
    run = make_model(classes=["a", "b"])
    with pytest.raises(ConfigError, match=says):
        export_onnx(model=str(run), output=str(tmp_path / output), opset=opset)


def test_a_missing_library_is_named(make_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_model(classes=["a", "b"])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'gulmfit\[onnx\]'"):
        export_onnx(model=str(run), output=str(tmp_path / "m.onnx"))


def documented_example(heading: str) -> str:
    """Return the first Python block below a heading of docs/exchange.md."""
    text = (ROOT / "docs" / "exchange.md").read_text(encoding="utf-8").split(f"## {heading}\n", 1)[1]
    return text.split("```python\n", 1)[1].split("```", 1)[0]


def test_the_documented_example_runs_without_torch(make_model: Any, tmp_path: Path) -> None:
    run = make_model(classes=["a", "b"], k=5, stride=2, calibration=TEMPERATURE)
    export_onnx(model=str(run), output=str(tmp_path / "hits.onnx"))
    example = documented_example("ONNX")
    assert len(example.strip().splitlines()) <= 14
    code = example + "\nimport sys\nassert not {'torch', 'gulmfit'} & set(sys.modules)\nprint(probabilities.tolist())"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    sequences = ["ACGTACGTTGACA", "ttgacaNcgtatcgactgatc", "ACGTA"]
    assert all(sequence in example for sequence in sequences)
    expected = Predictor.load(run, device="cpu").predict(sequences)
    np.testing.assert_allclose(json.loads(result.stdout), expected, atol=1e-5)
