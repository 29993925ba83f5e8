"""Models as documents: a plain specification, weights, and nothing that runs code when it is read.

A *spec* is a dictionary of plain values that says how to build a model and its tokenizer:
`{"format", "arch", "head", "dropout", "tokenizer", "letters", "classes", "positive"}`, where `arch`, `head` and
`tokenizer` name a class in `_target_`, and `letters` says how letters are read (`gulmfit.seq.alphabet`). With
`ensemble` it is of so many networks of that build. A *model folder* holds `config.json` (the spec) and
`model.safetensors`, or its shards: all that prediction needs. Where the tokenizer was learned, its part of the spec
holds all of it, and the folder has it once more as `tokenizer.json`, for other programs.
"""

import inspect
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gulmfit.errors import CheckpointError, ConfigError, GulmfitError
from gulmfit.files import write_whole
from gulmfit.models.dropout import DropoutRates
from gulmfit.models.ensemble import Ensemble, members_of
from gulmfit.moved import at_home, named
from gulmfit.pretrained import find, known, read_object, shipped
from gulmfit.seq.alphabet import DEFAULT, Letters
from gulmfit.seq.limits import parse_json
from gulmfit.seq.tokens.tokenizer import Tokenizer
from gulmfit.weights import Undrawn, load_weights, save_weights, weight_files

FORMAT = 1
MODEL_FOLDER = "model"
CALIBRATION, BLEND, DECODER = "calibration.json", "blend.safetensors", "decoder.json"
LOSS, TRACKS_READ = "loss", "tracks"  # keys of `config.json`: a labeller's loss, and the measured values that it reads
Spec = dict[str, Any]

_RATES = f"{DropoutRates.__module__}.{DropoutRates.__name__}"

# Constructor arguments that follow from tokenizer, classes and encoder; no configuration states them.
DERIVED = frozenset(
    {
        "vocab_size", "pad_id", "num_special", "letters", "num_successors", "token_bases", "num_classes", "class_names",
        "dropout", "encoder", "strands", "complement", "kmer_bases", "kmer_stride", "tuned_size", "added_size",
        "other_channels",
    }
)  # fmt: skip


@dataclass
class LoadedModel:
    """A model that is ready for prediction or transfer."""

    spec: Spec
    model: nn.Module
    tokenizer: Tokenizer
    source: Path
    calibration: dict[str, Any] | None = None
    """What `save_calibration` wrote beside it."""

    @property
    def classes(self) -> list[str]:
        """Names of the classes in the order of the model's outputs; empty for a language model."""
        return list(self.spec.get("classes") or [])

    @property
    def letters(self) -> Letters:
        """How the model reads letters."""
        return letters_of(self.spec)


_trusts_foreign = False


@contextmanager
def foreign_classes_trusted(trusted: bool = True) -> Iterator[None]:
    """Let files name classes outside gulmfit, such as an encoder of your own, for as long as this lasts.

    To name a class is to have its module imported: do so only for files that you would run as a program. Where
    `trusted` is false nothing changes.
    """
    global _trusts_foreign
    before = _trusts_foreign
    _trusts_foreign = before or trusted
    try:
        yield
    finally:
        _trusts_foreign = before


def resolve_target(path: str, kind: type = object) -> Any:
    """Import the class that a `_target_` names.

    Args:
        path: Where it is defined; the name under which another module has imported it will not do.
        kind: What it must be.

    Raises:
        CheckpointError: If it is not a class of gulmfit's own, or of another kind: a file that was sent to you must not
            name foreign code, unless you trust it (`foreign_classes_trusted`), or call what is not part of a model.
    """
    if not path.startswith("gulmfit.") and not _trusts_foreign:
        raise CheckpointError(
            f"_target_ {path!r} is outside gulmfit and must not be built from a file. If you know this code, give "
            "trust=true."
        )
    path = at_home(path)
    try:
        target = named(path)
    except (ImportError, AttributeError, ValueError) as error:
        where = "in this version of gulmfit" if path.startswith("gulmfit.") else "here; is its package installed?"
        raise CheckpointError(f"_target_ {path!r} does not exist {where} ({error})") from error
    if not (inspect.isclass(target) and target.__module__ == path.rpartition(".")[0] and issubclass(target, kind)):
        raise CheckpointError(
            f"_target_ {path!r} is not a {kind.__name__} defined there: must not be built from a file."
        )
    return target


def build(node: Any, derived: Mapping[str, Any], kind: type = object) -> Any:
    """Build what a node describes, adding those derived values that its constructor asks for.

    Raises:
        CheckpointError: If the node names no class of this kind (see `resolve_target`), or the class refuses its
            arguments.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        raise CheckpointError(f"{str(node)[:80]!r} names no class in _target_.")
    target = resolve_target(node["_target_"], kind)
    wanted = inspect.signature(target).parameters
    arguments = {key: value for key, value in node.items() if key != "_target_"}
    arguments.update({key: value for key, value in derived.items() if key in wanted})
    try:
        return target(**arguments)
    except GulmfitError:
        raise
    except Exception as error:  # whatever a constructor makes of a stranger's arguments
        raise CheckpointError(f"{node['_target_']} cannot be built from what the file says: {error}") from error


def build_tokenizer(spec: Spec) -> Tokenizer:
    """Build the tokenizer of a spec."""
    return cast("Tokenizer", build(spec["tokenizer"], {}, Tokenizer))


def build_model(spec: Spec) -> tuple[nn.Module, Tokenizer]:
    """Build the model and tokenizer of a spec, with fresh weights."""
    tokenizer = build_tokenizer(spec)
    return _assemble(spec, tokenizer, torch.from_numpy(tokenizer.bases())), tokenizer


def _assemble(spec: Spec, tokenizer: Tokenizer, token_bases: Tensor | None) -> nn.Module:
    """Put the parts of a model together; without `token_bases` its first weights do not know how tokens are spelled."""
    arch = dict(spec["arch"])
    strands = arch.pop("strands", "forward")  # whatever the encoder, its reader asks for them
    derived: dict[str, Any] = {
        "strands": strands,
        "complement": tokenizer.complement() if strands != "forward" else None,
        "vocab_size": len(tokenizer),
        "pad_id": tokenizer.pad_id,
        "num_special": tokenizer.num_special,
        "letters": tokenizer.alphabet.letters,
        "num_successors": tokenizer.num_successors,
        "token_bases": token_bases,
        "kmer_bases": getattr(tokenizer, "k", None),
        "kmer_stride": getattr(tokenizer, "stride", None),
        "num_classes": len(spec.get("classes") or []),
        "class_names": list(spec.get("classes") or []),
        "dropout": build({"_target_": _RATES, **spec["dropout"]}, {}),
    }
    networks: list[nn.Module] = []
    for _ in range(members_of(spec["ensemble"]) if "ensemble" in spec else 1):
        derived["encoder"] = build(arch, derived, nn.Module)
        networks.append(build(spec["head"], derived, nn.Module))
    return Ensemble(networks) if "ensemble" in spec else networks[0]


def outline(spec: Spec, tokenizer: Tokenizer) -> nn.Module:
    """Build a model whose weights have no numbers: no memory is taken for them, whatever sizes the spec names.

    So no constructor may look at the values of its weights.
    """
    with torch.device("meta"), Undrawn():
        return _assemble(spec, tokenizer, None)


def _filled(spec: Spec, tokenizer: Tokenizer, state: Mapping[str, Tensor], path: Path) -> nn.Module:
    """Build a model with these weights, once it is known that they are those of its spec."""
    model = outline(spec, tokenizer)
    _check_fit(wanted := model.state_dict(), state, path)
    # Copied, since what is read may be a map of its file, or of fewer bits.
    weights = {name: state[name].to(outline.dtype, copy=True) for name, outline in wanted.items()}
    # gulmfit's own classes hold their weights alone. What another class holds besides has no numbers in an outline.
    own = all(spec[part]["_target_"].startswith("gulmfit.") for part in ("arch", "head"))
    if not own:
        model = build_model(spec)[0]
    try:
        model.load_state_dict(weights, assign=own)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit the configuration beside them: {error}") from error
    return model.eval()


def _check_fit(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], path: Path) -> None:
    wrong = [
        f"{name} is {tuple(state[name].shape) if name in state else 'missing'}, not {tuple(outline.shape)}"
        for name, outline in wanted.items()
        if name not in state or state[name].shape != outline.shape
    ]
    wrong += [f"{name} is not expected" for name in state if name not in wanted]
    wrong += [
        f"{name} holds numbers of {tensor.dtype}"
        for name, tensor in state.items()
        if name in wanted and tensor.is_floating_point() != wanted[name].is_floating_point()
    ]
    if wrong:
        raise CheckpointError(
            f"{path}: the weights do not fit the configuration beside them: {'; '.join(wrong[:5])}"
            f"{'; …' if len(wrong) > 5 else '.'}"
        )


def save_model(folder: Path, spec: Spec, state: Mapping[str, Tensor], shard_bytes: float = math.inf) -> None:
    """Write a model folder; the configuration comes last, so that its presence means the weights are whole.

    Args:
        folder: Where to; it must be empty or hold an older model of as many shards.
        spec: How to build the model.
        state: Its weights.
        shard_bytes: Weights beyond this go into further files, named as elsewhere: `model-00001-of-00003.safetensors`.

    Raises:
        CheckpointError: If it cannot be written.
    """
    save_weights(folder, state, shard_bytes)
    texts = {**build_tokenizer(spec).files(), "config.json": json.dumps({"format": FORMAT, **spec}, indent=2) + "\n"}
    for name, text in texts.items():
        write_whole(folder / name, text, kind=CheckpointError)


def save_calibration(folder: Path, calibration: Mapping[str, Any]) -> None:
    """Write into a model folder how its probabilities are to be calibrated.

    Raises:
        CheckpointError: If it cannot be written.
    """
    write_whole(folder / CALIBRATION, json.dumps(calibration, indent=2) + "\n", kind=CheckpointError)


def letters_of(spec: Spec) -> Letters:
    """Return how a model reads letters; one of a version that did not keep it has the defaults.

    Raises:
        CheckpointError: If there is no such policy.
    """
    try:
        return Letters(**spec.get("letters", {})).checked()
    except (TypeError, ConfigError) as error:
        raise CheckpointError(f"the configuration of the model is damaged: letters: {error}") from error


def load(path: str | Path) -> LoadedModel:
    """Load a model from a run folder, a model folder, a `.ckpt` file or by its name, in evaluation mode.

    Its weights are of 32 bits, whatever they are kept in. A name is that of a model which ships with gulmfit
    (`gulmfit.pretrained`); a path that exists comes before it.

    Raises:
        CheckpointError: If nothing there is a gulmfit model, or the file is damaged.
    """
    path = find(path)
    if path.is_file():
        spec, state = _read_checkpoint(path)
    else:
        spec, state, path = _read_folder(path)
    tokenizer = build_tokenizer(spec)
    calibration = read_object(path / CALIBRATION, "Without this file probabilities are not calibrated.")
    return LoadedModel(spec, _filled(spec, tokenizer, state, path), tokenizer, path, calibration or None)


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load the tokenizer of the model in a run folder, a model folder, a `.ckpt` file or with this name.

    Raises:
        CheckpointError: If nothing there is a gulmfit model, or the file is damaged.
    """
    path = find(path)
    return build_tokenizer(_read_checkpoint(path)[0] if path.is_file() else _read_folder(path)[0])


def _read_folder(path: Path) -> tuple[Spec, dict[str, Tensor], Path]:
    for folder in (path / MODEL_FOLDER, path):
        config = folder / "config.json"
        try:
            weights = weight_files(folder) if config.is_file() else []
        except PermissionError as error:
            raise _unreadable(folder) from error
        if weights:
            if closed := next((file for file in (config, *weights) if not os.access(file, os.R_OK)), None):
                raise _unreadable(closed)
            try:
                spec = parse_json(config.read_text(encoding="utf-8"))
                state = load_weights(weights)
            except Exception as error:
                raise CheckpointError(f"{folder}: the model folder is damaged: {error}.") from error
            return _checked(spec, folder), state, folder
    for name in ("best.ckpt", "last.ckpt"):
        checkpoint = path / "checkpoints" / name
        if checkpoint.is_file():
            return *_read_checkpoint(checkpoint), checkpoint
    what = "holds no model" if path.is_dir() else "does not exist"
    hidden = f" It hides the model {path} that ships with gulmfit." if str(path) in shipped() else ""
    raise CheckpointError(
        f"{path} {what}.{hidden} Give a run folder (outputs/<stage>/<run>), its model folder, a .ckpt file, or the "
        f"name of a model that ships with gulmfit: {known()}."
    )


def _unreadable(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: you lack the permission to read it. Ask its owner for it, or to run chmod a+r.")


def read_progress(path: Path) -> tuple[Spec, int, dict[str, Any]]:
    """Return the spec of a checkpoint, the step at which it was saved, and what it had learned from.

    Raises:
        CheckpointError: If it is damaged or not ours.
    """
    content = _read_content(path)
    learned_from = content.get("learned_from")
    known = dict(learned_from) if isinstance(learned_from, Mapping) else {}
    spec = {"letters": DEFAULT._asdict(), **_checked(content["hyper_parameters"]["spec"], path)}
    return spec, content["global_step"], known


def _read_checkpoint(path: Path) -> tuple[Spec, dict[str, Tensor]]:
    content, prefix = _read_content(path), "model."
    return _checked(content["hyper_parameters"]["spec"], path), {
        name.removeprefix(prefix): tensor for name, tensor in content["state_dict"].items() if name.startswith(prefix)
    }


def _read_content(path: Path) -> dict[str, Any]:
    """Read what a checkpoint holds: plain values and tensors, and no more of them than the file has bytes."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        unpacked = sum(member.file_size for member in members)
        # torch packs nothing, so that a file cannot unpack to more than itself.
        if any(member.compress_type for member in members) or unpacked > path.stat().st_size:
            raise ValueError("it unpacks to more than its size")
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        content["hyper_parameters"]["spec"]
        state = dict[str, Any](content["state_dict"])
        if not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()):
            raise ValueError("its state_dict holds more than tensors and their names")
        if not isinstance(content.get("global_step"), int):
            raise ValueError("it has no global_step")
    except Exception as error:  # a damaged file can raise nearly anything
        raise CheckpointError(f"{path}: not a gulmfit checkpoint, or damaged: {error}") from error
    return content


def _checked(spec: Any, path: Path) -> Spec:
    """Check the outline of a spec; what its parts say, their constructors check."""
    if not isinstance(spec, Mapping):
        raise CheckpointError(f"{path}: the configuration is {type(spec).__name__}; it is not a gulmfit model's.")
    missing = [key for key in ("arch", "head", "dropout", "tokenizer") if key not in spec]
    if missing:
        raise CheckpointError(f"{path}: the configuration lacks {', '.join(missing)}; it is not a gulmfit model's.")
    version, classes = spec.get("format", FORMAT), spec.get("classes")
    names = classes if isinstance(classes, list) else []
    if not (isinstance(version, int) and (classes is None or isinstance(classes, list))
            and all(isinstance(name, str) for name in names) and (spec.get("positive") or None) in (None, *names)
            and all(isinstance(spec[part], Mapping) for part in ("arch", "head", "dropout", "tokenizer"))):  # fmt: skip
        raise CheckpointError(
            f"{path}: the configuration is damaged: its format, classes or parts are of the wrong kind."
        )
    if version > FORMAT:
        raise CheckpointError(f"{path}: written by a newer gulmfit (format {spec['format']}). Update gulmfit.")
    return {key: _as_of_now(value) for key, value in spec.items() if key != "format"}


def _as_of_now(value: Any) -> Any:
    """Return a part of a spec with its class under its present name: specs are compared."""
    if isinstance(value, Mapping) and isinstance(value.get("_target_"), str):
        return {**value, "_target_": at_home(value["_target_"])}
    return value
