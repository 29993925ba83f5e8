"""Models as documents: a plain specification, weights, and nothing that runs code when it is read.

A *spec* is a dictionary of plain values that says how to build a model and its tokenizer:
`{"format", "arch", "head", "dropout", "tokenizer", "classes", "positive"}`, where `arch`, `head` and `tokenizer` name
a class in `_target_`. A *model folder* holds `config.json` (the spec) and `model.safetensors`: all that prediction
needs.
"""

import importlib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gulmfit.errors import CheckpointError
from gulmfit.models.dropout import DropoutRates
from gulmfit.seq.tokenizer import KmerTokenizer

FORMAT = 1
MODEL_FOLDER = "model"
CALIBRATION = "calibration.json"
Spec = dict[str, Any]

# Constructor arguments that follow from tokenizer, classes and encoder; no configuration states them.
DERIVED = frozenset(
    {"vocab_size", "pad_id", "num_special", "num_successors", "token_bases", "num_classes", "dropout", "encoder"}
)


@dataclass
class LoadedModel:
    """A model that is ready for prediction or transfer."""

    spec: Spec
    model: nn.Module
    tokenizer: KmerTokenizer
    source: Path
    calibration: dict[str, Any] | None = None
    """What `save_calibration` wrote beside it."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes in the order of the model's outputs; empty for a language model."""
        return list(self.spec.get("classes") or [])


def resolve_target(path: str) -> Any:
    """Import the object that a `_target_` names.

    Raises:
        CheckpointError: If it is outside gulmfit or does not exist: a file that was sent to you must not name foreign
            code.
    """
    module, _, name = path.rpartition(".")
    if not path.startswith("gulmfit."):
        raise CheckpointError(f"_target_ {path!r} is outside gulmfit and is not built from a file.")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"_target_ {path!r} does not exist in this version of gulmfit: {error}.") from error


def build(node: Mapping[str, Any], derived: Mapping[str, Any]) -> Any:
    """Build what a node describes, adding those derived values that its constructor asks for."""
    target = resolve_target(str(node["_target_"]))
    wanted = inspect.signature(target).parameters
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    arguments.update({key: value for key, value in derived.items() if key in wanted})
    return target(**arguments)


def build_tokenizer(spec: Spec) -> KmerTokenizer:
    """Build the tokenizer of a spec."""
    tokenizer = build(spec["tokenizer"], {})
    if not isinstance(tokenizer, KmerTokenizer):
        raise CheckpointError(f"{spec['tokenizer']['_target_']!r} is not a tokenizer.")
    return tokenizer


def build_model(spec: Spec) -> tuple[nn.Module, KmerTokenizer]:
    """Build the model and tokenizer of a spec, with fresh weights."""
    tokenizer = build_tokenizer(spec)
    derived: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "pad_id": tokenizer.pad_id,
        "num_special": tokenizer.num_special,
        "num_successors": 4**tokenizer.new_bases,
        "token_bases": torch.from_numpy(tokenizer.bases()),
        "num_classes": len(spec.get("classes") or []),
        "dropout": DropoutRates(**spec["dropout"]),
    }
    derived["encoder"] = build(spec["arch"], derived)
    return build(spec["head"], derived), tokenizer


def save_model(folder: Path, spec: Spec, state: Mapping[str, Tensor]) -> None:
    """Write a model folder; the configuration comes last, so that its presence means the weights are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    weights, config = folder / "model.safetensors", folder / "config.json"
    partial = weights.with_suffix(".partial")
    try:
        save_file(tensors, partial)
        os.replace(partial, weights)
        partial = config.with_suffix(".partial")
        partial.write_text(json.dumps({"format": FORMAT, **spec}, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, config)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"{folder}: the model could not be written: {error}. Free space or choose another folder."
        ) from error


def save_calibration(folder: Path, calibration: Mapping[str, Any]) -> None:
    """Write into a model folder how its probabilities are to be calibrated."""
    target = folder / CALIBRATION
    partial = target.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(calibration, indent=2) + "\n", encoding="utf-8")
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(
            f"{target} could not be written: {error}. Free space or choose another folder."
        ) from error


def load(path: str | Path) -> LoadedModel:
    """Load a model from a run folder, a model folder or a `.ckpt` file, in evaluation mode.

    Raises:
        CheckpointError: If nothing there is a gulmfit model, or the file is damaged.
    """
    path = Path(path)
    if path.is_file():
        spec, state = _read_checkpoint(path)
    else:
        spec, state, path = _read_folder(path)
    model, tokenizer = build_model(spec)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the configuration beside them: {error}") from error
    return LoadedModel(spec, model.eval(), tokenizer, path, _read_calibration(path))


def _read_calibration(path: Path) -> dict[str, Any] | None:
    file = path / CALIBRATION
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{file} is damaged: {error}. Without this file probabilities are not calibrated."
        ) from error
    return content


def _read_folder(path: Path) -> tuple[Spec, dict[str, Tensor], Path]:
    for folder in (path / MODEL_FOLDER, path):
        config, weights = folder / "config.json", folder / "model.safetensors"
        if config.is_file() and weights.is_file():
            try:
                spec = json.loads(config.read_text(encoding="utf-8"))
                state = load_file(weights)
            except Exception as error:
                raise CheckpointError(f"{folder}: the model folder is damaged: {error}.") from error
            return _checked(spec, folder), state, folder
    for name in ("best.ckpt", "last.ckpt"):
        checkpoint = path / "checkpoints" / name
        if checkpoint.is_file():
            return *_read_checkpoint(checkpoint), checkpoint
    what = "holds no model" if path.is_dir() else "does not exist"
    raise CheckpointError(
        f"{path} {what}. Give a run folder (outputs/<stage>/<run>), its model folder, or a .ckpt file."
    )


def read_progress(path: Path) -> tuple[Spec, int]:
    """Return the spec of a checkpoint and the step at which it was saved.

    Raises:
        CheckpointError: If it is damaged or not ours.
    """
    spec, _ = _read_checkpoint(path)
    return spec, int(torch.load(path, map_location="cpu", weights_only=True)["global_step"])


def _read_checkpoint(path: Path) -> tuple[Spec, dict[str, Tensor]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        spec = content["hyper_parameters"]["spec"]
        state = content["state_dict"]
    except Exception as error:
        raise CheckpointError(f"{path}: not a gulmfit checkpoint, or damaged: {error}") from error
    prefix = "model."
    return _checked(spec, path), {
        name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)
    }


def _checked(spec: Any, path: Path) -> Spec:
    missing = [key for key in ("arch", "head", "dropout", "tokenizer") if key not in spec]
    if missing:
        raise CheckpointError(f"{path}: the configuration lacks {', '.join(missing)}; it is not a gulmfit model's.")
    if spec.get("format", FORMAT) > FORMAT:
        raise CheckpointError(f"{path}: written by a newer gulmfit (format {spec['format']}). Update gulmfit.")
    return {key: value for key, value in spec.items() if key != "format"}
