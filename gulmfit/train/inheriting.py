"""Tune a trained labeller: what it hands on, the layers that are new, and those that are frozen.

`inherit` works on the configuration, before data is read: head and loss are those of the labeller, as far as nobody has
asked for others. The rest works on the model.
"""

import logging
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from gulmfit.checkpoint import DERIVED, LOSS, TRACKS_READ, LoadedModel, Spec, resolve_target
from gulmfit.config import plain, read_plain
from gulmfit.errors import CheckpointError, ConfigError
from gulmfit.models.labeller import Labeller
from gulmfit.models.losses import Loss
from gulmfit.models.transfer import TransferReport, transfer

logger = logging.getLogger(__name__)

UNTUNED, WHOLE, HEAD = "none", "whole", "head"


def inherit(config: DictConfig, given: Sequence[str], source: LoadedModel) -> None:
    """Let a run that tunes a labeller have its head and its loss, but for what was asked for.

    Args:
        config: Of the run.
        given: The overrides it was composed from.
        source: The labeller.

    Raises:
        CheckpointError: It is not a labeller, or names a loss that is none of gulmfit's.
        ConfigError: Another head was asked for, or it has none that `tune=head` could replace.
    """
    name = f"init_from={config.init_from}"
    if not isinstance(source.model, Labeller):
        raise CheckpointError(
            f"{name} is a {type(source.model).__name__}, and tune={config.tune.name} goes on from a labeller: give one "
            "that was trained with stage=label, or leave tune= out, which takes the encoder alone."
        )
    theirs = {key: value for key, value in source.spec["head"].items() if key not in DERIVED}
    if any(word.startswith("head=") for word in given) and config.head._target_ != theirs["_target_"]:
        asked, found = (str(target).rpartition(".")[2] for target in (config.head._target_, theirs["_target_"]))
        raise ConfigError(f"{name} is a {found}, and head= asks for a {asked}: leave head= out, or tune another model.")
    if config.tune.name == HEAD and "tuned_size" not in signature(type(source.model)).parameters:
        raise ConfigError(f"tune=head: the head of {name} cannot be replaced by new layers; give tune=whole.")
    asked_for = {key: config.head[key] for key in _keys(given, "head.")}
    OmegaConf.update(config, "head", {**theirs, **asked_for}, merge=False)
    if any(word.startswith("loss=") for word in given):
        return
    loss = source.spec.get(LOSS) or _loss_of_run(source)
    if not loss:
        logger.warning("%s does not say how its loss was weighed; this run weighs it by itself", name)
        return
    known = signature(resolve_target(str(loss["_target_"]), Loss)).parameters
    inherited = {"_target_": loss["_target_"], **{key: value for key, value in loss.items() if key in known}}
    for key in set(inherited) & set(known) & set(config.loss):
        if key in _keys(given, "loss.") or plain(config.loss[key]) != known[key].default:
            inherited[key] = config.loss[key]
    OmegaConf.update(config, LOSS, inherited, merge=False)
    weights = {key: plain(value) for key, value in inherited.items() if key in known}
    logger.info("tune=%s: the loss of %s: %s", config.tune.name, name, weights)


def _keys(given: Sequence[str], group: str) -> set[str]:
    return {word.partition("=")[0].removeprefix(group) for word in given if word.startswith(group)}


def _loss_of_run(source: LoadedModel) -> Any:
    """Return the loss of a labeller whose model folder does not tell it, from the configuration of its run."""
    folder = source.source if source.source.is_dir() else source.source.parents[1]
    file = folder / "config.yaml"
    return plain(read_plain(file).get(LOSS)) if file.is_file() else None


def tuned_spec(spec: Spec, source: LoadedModel, tune: Mapping[str, Any], tracks: Mapping[str, Any]) -> Spec:
    """Return the specification of a labeller that another one is tuned to.

    Args:
        spec: As if it were trained from the start.
        source: The one that it starts from.
        tune: The node `tune` of the configuration.
        tracks: What is said of the measured values of the data, empty where there are none.

    Raises:
        CheckpointError: `tune=whole` has other classes or tracks than the labeller.
    """
    if tune["name"] == HEAD:
        own: dict[str, Any] = {"tuned_size": int(tune["hidden"])}
        own |= {"other_channels": list(tracks["other_channels"])} if tracks else {}
    else:
        for what, ours, theirs in (
            ("classes", spec["classes"], source.classes), (TRACKS_READ, tracks, source.spec.get(TRACKS_READ) or {}),
        ):  # fmt: skip
            if ours != theirs:
                raise CheckpointError(
                    f"tune=whole: the {what} of the data are {ours or 'none'}, and those of the labeller "
                    f"{theirs or 'none'}: give the same, or tune=head, whose last layers are new."
                )
        own = {key: source.spec["head"][key] for key in ("tuned_size", "other_channels") if key in source.spec["head"]}
    return {**spec, "head": {**spec["head"], **own}, **({TRACKS_READ: dict(tracks)} if tracks else {})}


def take_over(model: Labeller, spec: Spec, source: LoadedModel, tune: Mapping[str, Any]) -> TransferReport:
    """Copy the weights of the labeller that is tuned, and freeze what `tune=head` leaves as it is.

    Args:
        model: Built as `tuned_spec` says.
        spec: What `tuned_spec` gave.
        source: The labeller.
        tune: The node `tune` of the configuration.
    """
    state = source.model.state_dict()
    if tune["name"] == WHOLE:
        return transfer(model, state, "")
    before: Any = source.model
    if "tuned_size" not in source.spec["head"]:  # all but its last layer
        state |= {f"trunk.{name}": value for name, value in before.head[:-1].state_dict().items()}
    report = transfer(model, state, "encoder.", "trunk.")
    theirs, ours = source.classes, spec["classes"]
    if not tune["fresh"] and theirs == ours:
        begun = set(_start_from(model, spec, source))
        report.begun = [name for name in report.fresh if name in begun]
        report.fresh = [name for name in report.fresh if name not in begun]
    model.freeze_trunk()
    return report


@torch.no_grad()
def _start_from(model: Any, spec: Spec, source: LoadedModel) -> list[str]:
    """Let new layers give what those of another labeller give, where they are built alike; tracks are worth 0.

    Returns:
        Names of the tensors that do; none where the layers are not alike.
    """
    before: Any = source.model
    ours, theirs = model.head, before.head if "tuned_size" in source.spec["head"] else before.head[-1:]
    same_tracks = spec.get(TRACKS_READ) == source.spec.get(TRACKS_READ)
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=False))
    if same_tracks and len(ours) == len(theirs) and all(one.shape == other.shape for one, other in pairs):
        for one, other in pairs:
            one.copy_(other)
    elif len(ours) == len(theirs) == 1:
        shared = ours[0].in_features - model.stride * len(spec["head"].get("other_channels", ()))
        ours[0].weight.zero_()
        ours[0].weight[:, :shared] = theirs[0].weight[:, :shared]
        ours[0].bias.copy_(theirs[0].bias)
    else:
        return []
    return [f"head.{name}" for name, _ in ours.named_parameters()]
