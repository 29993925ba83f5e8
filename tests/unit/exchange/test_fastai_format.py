"""Models survive the way to fastai's format and back, fastai computes the same with them, and bad files are refused."""

import json
import os
import pickle
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gulmfit.checkpoint import load
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.exchange.fastai_format import export_fastai, import_fastai, to_fastai
from gulmfit.models.classifier import SequenceClassifier
from gulmfit.models.language_model import LanguageModel
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

ROOT = Path(__file__).resolve().parents[3]
FASTAI = ROOT / ".venv-fastai" / "bin" / "python"
SIZES = {"k": 3, "stride": 2}


def outputs(model: Any, tokens: Tensor) -> Tensor:
    """Return a language model's logits `(B, T, V)` before the softmax."""
    with torch.no_grad():
        hidden, _ = model.encoder(tokens)
        return hidden @ model.encoder.embedding.weight.T + model.head.bias


@pytest.fixture
def exported(make_model: Any, tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny model in fastai's format and return the `.pth` file."""

    def export(**options: Any) -> Path:
        export_fastai(model=str(make_model(**options)), output=str(tmp_path / "ours.pth"))
        return tmp_path / "ours.pth"

    return export


def bring_in(weights: Path, output: Path, vocab: Path | None = None, **options: Any) -> Any:
    import_fastai(
        weights=str(weights), vocab=str(vocab or weights.with_suffix(".json")), output=str(output), **SIZES, **options
    )
    return load(output)


@pytest.mark.parametrize("classes", [None, ["a", "b", "c"]])
@pytest.mark.parametrize("layers", [1, 3])
def test_there_and_back_is_the_same_bit_for_bit(
    make_model: Any, tmp_path: Path, classes: list[str] | None, layers: int
) -> None:
    run = make_model(classes=classes, layers=layers)
    export_fastai(model=str(run), output=str(tmp_path / "m.pth"))
    back = bring_in(tmp_path / "m.pth", tmp_path / "back", classes=",".join(classes or []))
    first, second = ((folder / "model.safetensors").read_bytes() for folder in (run / "model", tmp_path / "back"))
    assert first == second
    assert back.classes == (classes or [])
    assert back.tokenizer == KmerTokenizer(**SIZES)


def test_the_order_of_the_vocabulary_does_not_matter(exported: Any, tmp_path: Path) -> None:
    """fastai's vocabulary is ordered by frequency, another one in every file."""
    weights = exported()
    original = bring_in(weights, tmp_path / "original").model.state_dict()
    state, entries = torch.load(weights), json.loads(weights.with_suffix(".json").read_text())
    order = list(range(len(entries)))
    random.Random(0).shuffle(order)
    shuffled = {
        name: tensor[order] if len(tensor) == len(order) and "rnns" not in name else tensor
        for name, tensor in state.items()
    }
    torch.save({"model": shuffled}, tmp_path / "shuffled.pth")
    names = [entries[place] for place in order]
    (tmp_path / "v.json").write_text(json.dumps(names))
    (tmp_path / "v.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "v.pkl").write_bytes(pickle.dumps(names))
    np.save(tmp_path / "v.npy", names)
    for kind in ("json", "txt", "pkl", "npy"):
        found = bring_in(tmp_path / "shuffled.pth", tmp_path / kind, tmp_path / f"v.{kind}").model.state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in original.items()), kind


def test_a_published_vocabulary_keeps_its_probabilities(exported: Any, tmp_path: Path) -> None:
    """Genomic-ULMFiT has `pad` and the k-mers that occur: what is missing must not take probability from the others."""
    state, entries = torch.load(exported()), json.loads((tmp_path / "ours.json").read_text())
    kept = [entries.index("xxpad"), *(place for place, entry in enumerate(entries) if entry[:2] not in ("xx", "AC"))]
    published = {
        name: tensor[kept] if len(tensor) == len(entries) and "rnns" not in name else tensor
        for name, tensor in state.items()
    }
    torch.save(published, tmp_path / "b2.pth")
    np.save(tmp_path / "vocab.npy", ["pad", *(entries[place] for place in kept[1:])])
    loaded = bring_in(tmp_path / "b2.pth", tmp_path / "out", tmp_path / "vocab.npy")
    names = loaded.tokenizer.vocabulary()
    embedding = loaded.model.encoder.embedding.weight
    absent = [place for place, name in enumerate(names) if name.startswith("AC")]
    known = [place for place, name in enumerate(names) if place > 2 and place not in absent]
    torch.testing.assert_close(embedding[absent], embedding[known].mean(0).expand(4, -1))
    assert (loaded.model.head.bias[absent] == loaded.model.head.bias[known].min()).all()
    # The same logits for what was there, and special tokens that were not take next to nothing.
    tokens = torch.tensor(known).view(1, -1)
    logits = outputs(loaded.model, tokens)
    original = bring_in(tmp_path / "ours.pth", tmp_path / "original").model
    torch.testing.assert_close(logits[..., known], outputs(original, tokens)[..., known])
    assert logits.softmax(-1)[..., 1:3].max() < 1e-6


def test_the_language_model_keeps_fastais_softmax(exported: Any, tmp_path: Path) -> None:
    model = bring_in(exported(legal=True), tmp_path / "out").model
    assert isinstance(model, LanguageModel)
    assert model.head.block_size is None
    tokens = torch.randint(3, 67, (2, 9))
    with torch.no_grad():
        losses = model(tokens[:, :-1], tokens[:, 1:]).losses
    expected = torch.nn.functional.cross_entropy(outputs(model, tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten(),
                                                 reduction="none")  # fmt: skip
    torch.testing.assert_close(losses, expected)


def test_a_classifier_of_fastai_1_computes_what_its_formula_says(make_model: Any, tmp_path: Path) -> None:
    """fastai 1: the same head, in one sequence of layers. Written out here, for it is not installed anywhere."""
    run = make_model(classes=["a", "b"])
    export_fastai(model=str(run), output=str(tmp_path / "m.pth"))
    state = torch.load(tmp_path / "m.pth")
    back = bring_in(tmp_path / "m.pth", tmp_path / "back").model
    assert isinstance(back, SequenceClassifier)
    tokens = torch.randint(3, 67, (4, 11))
    entries = json.loads((tmp_path / "m.json").read_text())
    places = torch.tensor([entries.index({"<pad>": "xxpad", "<unk>": "xxunk", "<sep>": "xxbos"}.get(name, name))
                           for name in KmerTokenizer(**SIZES).vocabulary()])  # fmt: skip
    head = torch.nn.Sequential(
        torch.nn.BatchNorm1d(18), torch.nn.Dropout(), torch.nn.Linear(18, 5), torch.nn.ReLU(), torch.nn.BatchNorm1d(5),
        torch.nn.Dropout(), torch.nn.Linear(5, 2),
    ).eval()  # fmt: skip
    head.load_state_dict({name[9:]: tensor for name, tensor in state.items() if name.startswith("1.layers.")})
    with torch.no_grad():
        x = state["0.module.encoder.weight"][places[tokens]]
        for layer in range(3):
            prefix = f"0.module.rnns.{layer}."
            weight = state[f"{prefix}module.weight_ih_l0"]
            rnn = torch.nn.LSTM(weight.shape[1], len(weight) // 4, batch_first=True)
            rnn.load_state_dict(
                {
                    name.removeprefix(f"{prefix}module."): tensor
                    for name, tensor in state.items()
                    if f"{prefix}module" in name
                }
            )
            x, _ = rnn(x)
        pooled = torch.cat([x[:, -1], x.amax(1), x.mean(1)], 1)
        torch.testing.assert_close(back(tokens, torch.full((4,), 11))[0], head(pooled))


@pytest.mark.slow
@pytest.mark.skipif(not FASTAI.is_file(), reason=f"fastai's environment is not there: {FASTAI}")
def test_fastai_itself_computes_the_same(make_model: Any, exported: Any, tmp_path: Path) -> None:
    weights = exported(layers=3)
    entries = json.loads(weights.with_suffix(".json").read_text())
    vocabulary = KmerTokenizer(**SIZES).vocabulary()
    ours_to_theirs = torch.tensor([2 if name == "<sep>" else 1 if name == "<pad>" else 0 if name == "<unk>"
                                   else entries.index(name) for name in vocabulary])  # fmt: skip
    tokens = torch.randint(2, 67, (5, 23))  # no padding: fastai reads it
    torch.save(ours_to_theirs[tokens], tmp_path / "tokens.pt")
    subprocess.run(
        [FASTAI, Path(__file__).with_name("fastai_side.py"), tmp_path], check=True, timeout=900, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
    )  # fmt: skip

    def compare(model: Any, file: str) -> None:
        theirs = torch.load(tmp_path / file)
        torch.testing.assert_close(outputs(model, tokens), theirs[..., ours_to_theirs], atol=1e-5, rtol=0)

    compare(load(tmp_path / "run").model, "outputs.pt")
    compare(bring_in(tmp_path / "theirs.pth", tmp_path / "theirs", weights.with_suffix(".json")).model, "theirs.pt")
    classifier = bring_in(tmp_path / "clas.pth", tmp_path / "clas", weights.with_suffix(".json")).model
    with torch.no_grad():
        logits, _ = classifier(tokens, torch.full((5,), 23))
    torch.testing.assert_close(logits, torch.load(tmp_path / "clas.pt"), atol=1e-5, rtol=0)


class Opener:
    """A pickle of it asks for code to be run."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch /tmp/gulmfit-was-here",))


def spoiled(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(weights: Path) -> None:
        state = torch.load(weights)
        torch.save(change(state), weights)

    return spoil


def without(state: dict[str, Any], part: str) -> dict[str, Any]:
    return {name: tensor for name, tensor in state.items() if part not in name}


def drop_gate(state: dict[str, Any]) -> dict[str, Any]:
    """Make GRU layers: three gates instead of four."""
    return {name: tensor[: len(tensor) // 4 * 3] if "rnns" in name else tensor for name, tensor in state.items()}


BAD_WEIGHTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut short": (lambda path: path.write_bytes(path.read_bytes()[:500]), "damaged"),
    "no torch file": (lambda path: path.write_text("hello"), "damaged"),
    "code": (lambda path: torch.save({"model": Opener()}, path), r"ours\.pth: .*tensors alone"),
    "a list": (lambda path: torch.save([1, 2], path), r"ours\.pth: .*state dictionary.*learn\.save"),
    "not finite": (spoiled(lambda s: s | {"1.decoder.bias": s["1.decoder.bias"] * torch.nan}), "not finite"),
    "not tied": (spoiled(lambda s: s | {"1.decoder.weight": s["1.decoder.weight"] + 1}), "tied"),
    "two embeddings": (spoiled(lambda s: s | {"0.encoder_dp.emb.weight": s["1.decoder.weight"] + 1}), "damaged"),
    "a tensor missing": (spoiled(lambda s: without(s, "0.rnns.1.module.bias_ih_l0")), "bias_ih_l0 is missing"),
    "a layer missing": (spoiled(lambda s: without(s, "rnns.1.")), "is missing"),
    "one too many": (spoiled(lambda s: s | {"2.weight": torch.zeros(1)}), r"no place .*2\.weight"),
    "wrong shape": (
        spoiled(lambda s: s | {"0.rnns.1.module.weight_ih_l0": s["0.rnns.1.module.weight_ih_l0"][:, :7]}),
        r"weight_ih_l0 is \(40, 7\), not \(40, 10\)",
    ),
    "GRU": (spoiled(drop_gate), r"\(30, 10\); .*LSTM.*GRU"),
    "QRNN": (spoiled(lambda s: s | {"0.rnns.0.layers.0.linear.weight": torch.zeros(1)}), "QRNN"),
    "both directions": (spoiled(lambda s: s | {"0.rnns.0.module.bias_hh_l0_reverse": torch.zeros(1)}), "directions"),
    "a transformer": (lambda path: torch.save({"0.layers.0.weight": torch.zeros(1)}, path), "no fastai AWD-LSTM"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_WEIGHTS)
def test_bad_weights_are_refused_and_nothing_is_written(exported: Any, tmp_path: Path, kind: str) -> None:
    spoil, says = BAD_WEIGHTS[kind]
    weights = exported()
    spoil(weights)
    with pytest.raises(CheckpointError, match=says):
        bring_in(weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/gulmfit-was-here").exists()


def write_names(change: Callable[[list[str]], Any]) -> Callable[[Path], Any]:
    return lambda path: path.write_text(json.dumps(change(json.loads(path.read_text()))))


BAD_VOCABULARIES: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "too short": (".json", write_names(lambda names: names[:-1]), "66 entries"),
    "twice": (".json", write_names(lambda names: [*names[:-1], "AAA"]), r"entry 66: 'AAA' .*entry 3\b"),
    "other k": (".json", write_names(lambda names: [name + "A" for name in names]), "set k="),
    "numbers": (".json", write_names(lambda names: list(range(len(names)))), r"ours\.json .*list; .*vocabulary"),
    "no list": (".json", write_names(lambda names: {"itos": names}), r"ours\.json .*dict; .*vocabulary"),
    "empty": (".json", write_names(lambda names: []), "no entry"),
    "damaged": (".json", lambda path: path.write_text("["), r"ours\.json .*vocabulary: JSON"),
    "code": (".pkl", lambda path: path.write_bytes(pickle.dumps([Opener()])), r"ours\.pkl .*names: .*\.system\."),
    "an object": (".pkl", lambda path: path.write_bytes(pickle.dumps(Path("x"))), r"ours\.pkl .*names: .*pathlib"),
    "cut short": (
        ".pkl",
        lambda path: path.write_bytes(pickle.dumps(["AAA"] * 9)[:-3]),
        r"ours\.pkl .*(vocabulary: |names: )",
    ),
    "objects": (
        ".npy",
        lambda path: np.save(path, np.array([{}, 1], dtype=object)),
        r"ours\.npy .*vocabulary: ValueError",
    ),
    "absent": (".txt", lambda path: None, r"ours\.txt .*vocabulary: FileNotFoundError"),
}


@pytest.mark.parametrize("kind", BAD_VOCABULARIES)
def test_bad_vocabularies_are_refused_and_nothing_is_written(exported: Any, tmp_path: Path, kind: str) -> None:
    suffix, spoil, says = BAD_VOCABULARIES[kind]
    weights = exported()
    vocab = weights.with_suffix(suffix)
    spoil(vocab)
    with pytest.raises(CheckpointError, match=says):
        bring_in(weights, tmp_path / "out", vocab)
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/gulmfit-was-here").exists()


def test_an_old_file_and_an_encoder_alone_are_read(exported: Any, tmp_path: Path) -> None:
    weights = exported()
    expected = bring_in(weights, tmp_path / "a").model.state_dict()
    state = torch.load(weights)
    encoder = {name.removeprefix("0."): tensor for name, tensor in state.items() if name.startswith("0.")}
    torch.save(encoder, tmp_path / "enc.pth", _use_new_zipfile_serialization=False)
    found = bring_in(tmp_path / "enc.pth", tmp_path / "b", weights.with_suffix(".json")).model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items() if name != "head.bias")
    assert not found["head.bias"].any()


def test_half_precision_becomes_single(exported: Any, tmp_path: Path) -> None:
    weights = exported()
    torch.save({name: tensor.half() for name, tensor in torch.load(weights).items()}, weights)
    assert {tensor.dtype for tensor in bring_in(weights, tmp_path / "out").model.state_dict().values()} == {
        torch.float32
    }


def test_what_fastai_does_not_have_is_not_written(make_model: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="gru"):
        export_fastai(model=str(make_model(cell="gru")), output=str(tmp_path / "m.pth"))
    with pytest.raises(ConfigError, match=r"\.pth"):
        export_fastai(model=str(make_model("other")), output=str(tmp_path / "m.bin"))
    assert not list(tmp_path.glob("m.*"))


def test_a_folder_that_holds_something_is_left_alone(exported: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(CheckpointError, match="there already"):
        bring_in(exported(), tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_every_tensor_has_a_name_over_there(make_model: Any) -> None:
    for classes in (None, ["a", "b"]):
        state = load(make_model(str(classes), classes=classes)).model.state_dict()
        assert {tensor.data_ptr() for tensor in to_fastai(state, classifier=bool(classes)).values()} == {
            tensor.data_ptr() for tensor in state.values()
        }
