"""Model folders to and from the Hugging Face hub: five files with known names, and nothing that runs code."""

import fnmatch
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gulmfit import pretrained
from gulmfit.checkpoint import BLEND, CALIBRATION, DECODER, load
from gulmfit.errors import CheckpointError, ConfigError, GulmfitError
from gulmfit.exchange.card import check_repo, model_card
from gulmfit.files import whole_folder
from gulmfit.libraries import library
from gulmfit.predict.predictor import Predictor
from gulmfit.weights import SHARDS, WEIGHTS

logger = logging.getLogger(__name__)

CARD = "README.md"
PATTERNS = (
    "config.json",
    WEIGHTS,
    SHARDS,
    BLEND,
    CALIBRATION,
    DECODER,
    "tokenizer.json",
    CARD,
    pretrained.CARD,
    pretrained.SKETCH,
)
NEEDED = {"config.json": ("config.json",), WEIGHTS: (WEIGHTS, SHARDS)}
TOKEN, ENDPOINT = "HF_TOKEN", "HF_ENDPOINT"


def push(*, model: str, repo: str, private: bool = True, revision: str = "", license: str = "unknown") -> None:
    """Upload a model folder and its card in one commit: never checkpoints, data or predictions.

    A README.md in the model folder is taken as the card; else one is written from the run's records. The token is read
    from HF_TOKEN.

    Args:
        model: Run folder or model folder.
        repo: OWNER/NAME; made if it is not there.
        private: Whether only its owner can see it.
        revision: Branch, made if it is not there; the main one by default.
        license: What the card says of the licence.

    Raises:
        ConfigError: If the token is missing, the name is none, or huggingface_hub is not installed.
        CheckpointError: If there is no model folder, the repository is public and should not be, or the hub refuses.
    """
    check_repo(repo)
    hub = library("huggingface_hub", "hub", "the hub", ConfigError)
    token = os.environ.get(TOKEN)
    if not token:
        raise ConfigError(f"{TOKEN} is not set: make a token with write access on the hub and export it.")
    loaded = load(model)
    folder = loaded.source
    if not folder.is_dir():
        raise CheckpointError(f"{model} has a checkpoint and no model folder; only a finished run can be pushed.")
    contents: dict[str, Any] = {name: folder / name for name in _ours(file.name for file in folder.iterdir())}
    if CARD not in contents:
        contents[CARD] = model_card(loaded, license=license, repo=repo).encode()
    operations = [
        hub.CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
        for name, content in contents.items()
    ]
    api = hub.HfApi(os.environ.get(ENDPOINT), token=token)
    with _explained(repo, revision):
        api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise CheckpointError(f"{repo} is there already and public. Give private=false to publish in it.")
        if revision:
            api.create_branch(repo, branch=revision, exist_ok=True)
        commit = api.create_commit(
            repo, operations, commit_message="Model written by gulmfit", revision=revision or None
        )
    logger.info("%s: %s", commit.commit_url, ", ".join(contents))


def pull(*, repo: str, output: str = "", revision: str = "") -> None:
    """Download a model folder, and nothing but its files; make sure that it loads, and write it.

    Args:
        repo: OWNER/NAME; or the name of a model that gulmfit-models lists.
        output: Folder to write. A model that gulmfit knows goes to a folder of its name in the current one by default,
            where that name then stands for it.
        revision: Branch, tag or commit; by default the main branch, or of a model that gulmfit knows the commit that
            it was published with.

    Raises:
        ConfigError: If the name is none, a folder is missing, or huggingface_hub is not installed.
        CheckpointError: If the hub refuses or what is there is no gulmfit model; then nothing is written.
    """
    if repo in pretrained.shipped():
        raise ConfigError(f"repo={repo}: this model ships with gulmfit and is used by its name: init_from={repo}.")
    if hosted := pretrained.HOSTED.get(repo):
        repo, output, revision = hosted.repo, output or repo, revision or hosted.revision
    elif "/" not in repo:
        raise ConfigError(
            f"repo={repo}: give OWNER/NAME, or the name of a model that can be fetched: "
            f"{', '.join(pretrained.HOSTED) or 'none yet'}."
        )
    if not output:
        raise ConfigError("output= is missing: name the folder to write.")
    check_repo(repo)
    hub = library("huggingface_hub", "hub", "the hub", ConfigError)
    api = hub.HfApi(os.environ.get(ENDPOINT), token=os.environ.get(TOKEN) or False)
    with whole_folder(Path(output)) as folder:
        with _explained(repo, revision):
            found = api.model_info(repo, revision=revision or None)
            there = {sibling.rfilename for sibling in found.siblings or []}
            ours = _ours(there)
            missing = [what for what, patterns in NEEDED.items() if not _matching(patterns, ours)]
            if missing:
                raise CheckpointError(f"{repo} has no {' and no '.join(missing)}: it is not a gulmfit model.")
            for name in ours:
                # By commit, so that all files are of one state of the repository.
                api.hf_hub_download(repo, name, revision=found.sha, local_dir=str(folder))
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        _check(folder, repo)
    logger.info("%s: %s of %s, commit %s", output, ", ".join(ours), repo, found.sha)
    if others := sorted(there - set(ours)):
        logger.info("Left there: %s", ", ".join(others))


def _ours(names: Iterable[str]) -> list[str]:
    """Choose the files of a model folder, in the order in which we name them."""
    return _matching(PATTERNS, sorted(names))


def _matching(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for pattern in patterns for name in fnmatch.filter(names, pattern)]


def _check(folder: Path, repo: str) -> None:
    """Raise CheckpointError unless a folder is a model and names nothing but models and tokenizers."""
    try:
        if load(folder).classes:
            Predictor.load(folder, device="cpu", positions=True)
    except GulmfitError as error:
        raise CheckpointError(f"{repo}: {error}") from error
    except Exception as error:  # whatever the constructors make of a stranger's arguments
        raise CheckpointError(f"{repo}: its model cannot be built: {error!r}.") from error


@contextmanager
def _explained(repo: str, revision: str) -> Iterator[None]:
    """Say what an error of the hub means for the user."""
    from huggingface_hub import errors

    try:
        yield
    except GulmfitError:
        raise
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} has no revision {revision!r}.") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        raise CheckpointError(f"{repo}: {_REASONS.get(status, f'the hub answered {status}')}: {error}") from error
    except Exception as error:  # which depends on the HTTP library that huggingface_hub uses
        raise CheckpointError(
            f"{repo}: the hub could not be reached, or answered strangely: {error!r}. Check the network, and "
            f"{ENDPOINT} and HF_HUB_OFFLINE if they are set."
        ) from error


_REASONS: Mapping[Any, str] = {
    401: f"not there, or private and {TOKEN} is missing or wrong",
    403: f"the token in {TOKEN} has no right to do this",
    404: f"not there, or private and {TOKEN} is missing",
}
