"""`gulmfit-inspect`: what the weights of models say without data, and their hidden states without labels."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gulmfit.checkpoint import LoadedModel, load
from gulmfit.commands.embed import Reservoir
from gulmfit.errors import CheckpointError, ConfigError, DataError
from gulmfit.evaluate.power_law import WELL_TRAINED, hidden_summary, matrix_spectrum, shuffled_spectrum
from gulmfit.files import claimed, write_whole
from gulmfit.model_files import files_of
from gulmfit.models.ensemble import one_network
from gulmfit.models.matrices import weight_matrices
from gulmfit.predict.language.vectors import Embedder
from gulmfit.report.html import write_report
from gulmfit.report.table import format_table
from gulmfit.report.weights_page import MATRIX_COLUMNS, SUMMARY_COLUMNS, weights_report
from gulmfit.seq.labels.labelled import read_sequences

logger = logging.getLogger(__name__)

PIECE_BASES = 512
HIDDEN_COLUMNS = ("model", "layer", "units", "dimension", "dead", "saturated")
SPECTRUM_COLUMNS = ("model", "name", "gate", "rank", "eigenvalue", "random")
Row = dict[str, Any]


def inspect_models(
    *,
    model: Sequence[str],
    output: str,
    input: str = "",
    sequences: int = 100,
    sequence: str = "sequence",
    batch_size: int = 64,
    seed: int = 0,
) -> dict[str, list[Row]]:
    """Fit a power law to the spectrum of every weight matrix, and measure how much of the hidden state is used.

    No labels are needed, and without `input` no data. Of an ensemble the first network is inspected.

    Args:
        model: Run folder, model folder or checkpoint, or the name of a model; may be given several times.
        output: Folder for `inspect.html`, `matrices.tsv`, `spectra.tsv` and `hidden.tsv`.
        input: FASTA or table whose sequences are read for the hidden states; random bases by default.
        sequences: Pieces of up to 512 bases that are read.
        sequence: Column of the sequence in a table.
        batch_size: Pieces that are read together.
        seed: Of the pieces, and of the random matrices.

    Raises:
        ConfigError: If an option is out of range, or a model is named twice.
        GulmfitError: If a model or the input cannot be read, or the output not be written.
    """
    if min(sequences, batch_size) < 1:
        raise ConfigError(f"sequences={sequences} batch_size={batch_size}: give 1 or more.")
    if len(set(model)) < len(model):
        raise ConfigError(f"model={' model='.join(model)}: one is named twice. Name each once.")
    tables = {name: Path(output) / f"{name}.tsv" for name in ("matrices", "spectra", "hidden")}
    page = Path(output) / "inspect.html"
    read: list[str | Path] = [input] if input else []
    read += [file for one in model for file in files_of(one)]
    with claimed([page, *tables.values()], read):
        results: dict[str, list[Row]] = {"matrices": [], "spectra": [], "hidden": []}
        for name in model:
            loaded = load(name)
            for table, rows in _inspect(name, loaded, seed).items():
                results[table] += rows
            pieces = _pieces(loaded, input, sequence, sequences, seed)
            results["hidden"] += _hidden(name, loaded, pieces, batch_size, input)
        results["models"] = [_summary(name, results) for name in model]
        columns = {"matrices": MATRIX_COLUMNS, "spectra": SPECTRUM_COLUMNS, "hidden": HIDDEN_COLUMNS}
        for table, path in tables.items():
            lines = [columns[table], *([row[key] for key in columns[table]] for row in results[table])]
            write_whole(path, "".join("\t".join(map(_cell, line)) + "\n" for line in lines))
        report = weights_report(results, input)
        write_report(page, report)
        logger.info("%s\n\n%s", format_table(results["models"], SUMMARY_COLUMNS), report.verdict)
        logger.info("\n%s\n\nreport: %s", format_table(results["hidden"], HIDDEN_COLUMNS), page)
        return results


def _inspect(name: str, loaded: LoadedModel, seed: int) -> dict[str, list[Row]]:
    """Describe every weight matrix of a model, and list its eigenvalues."""
    matrices: list[Row] = []
    spectra: list[Row] = []
    for depth, matrix in enumerate(weight_matrices(one_network(loaded.model)), start=1):
        weight = matrix.weight.double().cpu().numpy()
        if not np.isfinite(weight).all():
            raise CheckpointError(f"{name}: {matrix.name} holds numbers that are not finite: training diverged.")
        found, random = matrix_spectrum(weight), shuffled_spectrum(weight, seed)
        place = {"model": name, "name": matrix.name, "gate": matrix.gate}
        matrices.append(
            {
                **place,
                "depth": depth,
                "rows": weight.shape[0],
                "columns": weight.shape[1],
                "eigenvalues": len(found.eigenvalues),
                "alpha": found.fit.alpha,
                "D": found.fit.distance,
                "x_min": found.fit.x_min,
                "tail": found.fit.tail,
                "stable_rank": found.stable_rank,
                "norm": found.norm,
                "spectral_norm": found.spectral_norm,
                "random_alpha": random.fit.alpha,
                "random_D": random.fit.distance,
                "random_stable_rank": random.stable_rank,
                "random_spectral_norm": random.spectral_norm,
                "doubt": found.fit.doubt,
            }
        )
        ranked = enumerate(zip(found.eigenvalues, random.eigenvalues, strict=False), start=1)
        spectra += [{**place, "rank": rank, "eigenvalue": own, "random": other} for rank, (own, other) in ranked]
    return {"matrices": matrices, "spectra": spectra}


def _pieces(loaded: LoadedModel, input: str, sequence: str, count: int, seed: int) -> list[tuple[str, str]]:
    """Draw pieces of a file with equal chances, or random ones."""
    alphabet = loaded.tokenizer.alphabet
    if not input:
        random = np.random.default_rng(seed)
        letters = np.array(list(alphabet.letters))
        return [(f"random {number}", "".join(random.choice(letters, PIECE_BASES))) for number in range(1, count + 1)]
    drawn = Reservoir[tuple[str, str]](count, seed)
    for piece in _cut(read_sequences(input, sequence=sequence, alphabet=alphabet.name, letters=loaded.letters)):
        drawn.add(piece)
    if not drawn.kept:
        raise DataError(f"{input}: there is no sequence to read.")
    return drawn.kept


def _cut(records: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Cut records into pieces; what is left at the end of a longer one is left out."""
    for name, text in records:
        for start in range(0, max(1, len(text) - PIECE_BASES + 1), PIECE_BASES):
            yield name, text[start : start + PIECE_BASES]


def _hidden(
    name: str, loaded: LoadedModel, pieces: Sequence[tuple[str, str]], batch_size: int, input: str
) -> list[Row]:
    """Describe the hidden states of every layer on these pieces."""
    network: Any = one_network(loaded.model)
    layers = range(1, network.encoder.depth + 1) if hasattr(network.encoder, "depth") else ["last"]
    where = f"{input}, " if input else ""
    rows: list[Row] = []
    for layer in layers:
        embedder = Embedder(network, loaded.tokenizer, layer=layer, letters=loaded.letters)
        found = embedder.embed(pieces, level="token", batch_size=batch_size, where=where)
        states = np.concatenate([one.vectors for one in found])
        rows.append({"model": name, "layer": layer, **hidden_summary(states)})
    return rows


def _summary(name: str, results: dict[str, list[Row]]) -> Row:
    """Sum up a model in a row."""
    matrices, hidden = ([row for row in results[table] if row["model"] == name] for table in ("matrices", "hidden"))
    fitted = [row for row in matrices if row["tail"]]
    alphas, random = ([row[key] for row in fitted] for key in ("alpha", "random_alpha"))
    low, high = WELL_TRAINED
    return {
        "model": name,
        "matrices": len(matrices),
        "fitted": len(fitted),
        "mean alpha": float(np.mean(alphas)) if alphas else None,
        "median alpha": float(np.median(alphas)) if alphas else None,
        "2 to 6": sum(low <= alpha <= high for alpha in alphas),
        "doubtful fits": sum(bool(row["doubt"]) for row in fitted),
        "random alpha": float(np.mean(random)) if random else None,
        "least dimension": min(row["dimension"] for row in hidden),
        "dead": max(row["dead"] for row in hidden),
    }


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
