"""A network and baselines that predict as one model, and how they are kept in a model folder.

`config.json` says under `blend` what the weights are and what each baseline is; its arrays lie in `blend.safetensors`,
named `BASELINE.ARRAY`.

Shapes: `N` sequences, `C` classes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gulmfit.checkpoint import BLEND, LoadedModel, save_calibration
from gulmfit.errors import CheckpointError
from gulmfit.evaluate.baselines.fitted import FittedBaseline, restore
from gulmfit.evaluate.blend import NETWORK, Blend
from gulmfit.files import write_whole
from gulmfit.weights import load_arrays, save_arrays

Floats = NDArray[np.float64]


class BlendedModel:
    """Weights, and the baselines that have one.

    Args:
        blend: The weights.
        baselines: By name.

    Raises:
        CheckpointError: A model with a weight is missing.
    """

    def __init__(self, blend: Blend, baselines: Mapping[str, FittedBaseline]) -> None:
        if missing := sorted(set(blend.weights) - {NETWORK, *baselines}):
            raise CheckpointError(f"a blend with {', '.join(missing)}, which are not there: damaged?")
        self.blend = blend
        self.baselines = {name: baselines[name] for name in blend.weights if name != NETWORK}

    def predict(self, network: Floats, sequences: Sequence[str]) -> Floats:
        """Return the blend's probabilities (N, C), not calibrated, from those of the network and the sequences."""
        others = {name: baseline.predict(sequences) for name, baseline in self.baselines.items()}
        return self.blend.apply({NETWORK: network, **others})

    def description(self) -> dict[str, Any]:
        """Return what `config.json` says of it."""
        return {
            **self.blend.to_dict(),
            "baselines": {name: baseline.settings() for name, baseline in self.baselines.items()},
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the numbers of all baselines, by name."""
        return {
            f"{name}.{part}": np.ascontiguousarray(array)
            for name, baseline in self.baselines.items()
            for part, array in baseline.to_arrays().items()
        }

    def digest(self) -> str:
        """Return the SHA-256 of all that it computes with, in hexadecimal."""
        digest = hashlib.sha256(json.dumps(self.description(), sort_keys=True).encode())
        for name, array in sorted(self.arrays().items()):
            digest.update(f"{name},{array.dtype},{array.shape};".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()


def save_blend(folder: Path, model: BlendedModel, calibration: Mapping[str, Any]) -> None:
    """Make a model folder, in which the network lies already, that of a blend.

    Args:
        folder: The model folder.
        model: The blend.
        calibration: Of the blend.

    Raises:
        CheckpointError: If it cannot be written.
    """
    save_arrays(folder / BLEND, model.arrays())
    config = folder / "config.json"
    content = {**json.loads(config.read_text(encoding="utf-8")), "blend": model.description()}
    write_whole(config, json.dumps(content, indent=2) + "\n", kind=CheckpointError)
    save_calibration(folder, calibration)


def load_blend(loaded: LoadedModel) -> BlendedModel:
    """Load the blend of a model folder.

    Raises:
        CheckpointError: If its file is missing, or it is damaged.
    """
    content, path = loaded.spec["blend"], loaded.source / BLEND
    arrays = load_arrays(path)
    try:
        settings = content["baselines"].items()
        baselines = {
            name: restore(
                known,
                {key.removeprefix(f"{name}."): part for key, part in arrays.items() if key.startswith(f"{name}.")},
            )
            for name, known in settings
        }
        return BlendedModel(Blend.from_dict(content), baselines)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: the blend that config.json describes cannot be built: {error}.") from error
