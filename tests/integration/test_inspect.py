"""`gulmfit-inspect` from end to end, on small models with random weights."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import load, save_model
from gulmfit.commands.inspect import PIECE_BASES, inspect_models
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.evaluate.power_law import hidden_summary, matrix_spectrum
from gulmfit.predict.language.vectors import Embedder
from tests.integration.conftest import run
from tests.integration.test_language_tools import save


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("models")
    return [
        save(folder / "one" / "model", {"_target_": "gulmfit.models.language_model.LanguageModel"}, []),
        save(folder / "two" / "model", {"_target_": "gulmfit.models.classifier.SequenceClassifier"}, ["no", "yes"]),
    ]


def test_tables_hold_every_matrix_of_every_model(models: list[str], tmp_path: Path) -> None:
    words = [*(f"model={one}" for one in models), "output=found", "sequences=5"]
    printed = run(*words, cwd=tmp_path, command="inspect", rendered=True).stdout
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [
        "hidden.tsv", "inspect.html", "matrices.tsv", "spectra.tsv",
    ]  # fmt: skip
    matrices, spectra = rows(tmp_path / "found" / "matrices.tsv"), rows(tmp_path / "found" / "spectra.tsv")
    for one in models:
        assert one in printed
        state = load(one).model.state_dict()
        own = [row for row in matrices if row["model"] == one]
        assert len(own) == (17 if one == models[0] else 19)
        gate = next(row for row in own if row["name"].endswith("layers.1.rnn.weight_hh_l0") and row["gate"] == "forget")
        expected = matrix_spectrum(state["encoder.layers.1.rnn.weight_hh_l0"][8:16])
        assert float(gate["stable_rank"]) == pytest.approx(expected.stable_rank, rel=1e-5)
        values = [
            float(row["eigenvalue"]) for row in spectra
            if (row["model"], row["name"], row["gate"]) == (one, gate["name"], "forget")
        ]  # fmt: skip
        np.testing.assert_allclose(values, expected.eigenvalues, rtol=1e-5)
        assert gate["alpha"] == "nan"  # eight eigenvalues
    assert {row["layer"] for row in rows(tmp_path / "found" / "hidden.tsv")} == {"1", "2"}


def test_hidden_states_are_those_of_the_records(models: list[str], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    records = {name: "".join(random.choice(list("ACGT"), size)) for name, size in (("a", 90), ("b", 3 * PIECE_BASES))}
    fasta = tmp_path / "records.fa"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    found = inspect_models(model=[models[0]], output=str(tmp_path / "out"), input=str(fasta))["hidden"]
    whole = records["b"]
    pieces = [("a", records["a"]), *(("b", whole[at : at + PIECE_BASES]) for at in range(0, len(whole), PIECE_BASES))]
    for layer in (1, 2):
        states = np.concatenate(
            [one.vectors for one in Embedder.load(models[0], layer=layer).embed(pieces, level="token")]
        )
        expected = hidden_summary(states)
        assert {key: found[layer - 1][key] for key in expected} == pytest.approx(expected)


def test_a_collapsed_model_is_found(models: list[str], tmp_path: Path) -> None:
    loaded = load(models[0])
    state = {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}
    state["encoder.layers.1.rnn.weight_ih_l0"].zero_()
    state["encoder.layers.1.rnn.weight_hh_l0"].zero_()
    save_model(tmp_path / "collapsed", loaded.spec, state)
    for name, collapsed in ((models[0], False), (str(tmp_path / "collapsed"), True)):
        output = tmp_path / f"out{collapsed}"
        inspect_models(model=[name], output=str(output), sequences=5)
        assert ("have collapsed" in (output / "inspect.html").read_text()) is collapsed


def test_what_cannot_be_inspected_is_refused(models: list[str], tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    with pytest.raises(ConfigError, match="named twice"):
        inspect_models(model=[models[0]] * 2, output=output)
    with pytest.raises(ConfigError, match="sequences=0"):
        inspect_models(model=models, output=output, sequences=0)
    loaded = load(models[0])
    state = loaded.model.state_dict()
    state["encoder.layers.0.rnn.weight_ih_l0"] = torch.full_like(state["encoder.layers.0.rnn.weight_ih_l0"], torch.nan)
    save_model(tmp_path / "diverged", loaded.spec, state)
    with pytest.raises(CheckpointError, match=r"layers\.0\.rnn\.weight_ih_l0"):
        inspect_models(model=[str(tmp_path / "diverged")], output=output)
    assert not list((tmp_path / "out").iterdir())
