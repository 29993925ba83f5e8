"""What makes the tests quicker and changes nothing that a test can see, in this process and those forked from it.

Half of a tiny run was composing its configuration and waiting for the disk. What is composed is the same, as
`tests/unit/test_quick.py` shows. What is written need not lie on the disk before the test goes on: a process that is
killed loses nothing that it has written, and no test cuts the power.
"""

import contextlib
import copy
import functools
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal import config_repository, defaults_list
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

LoadConfig = Callable[[Any, str], ConfigResult | None]
Choices = Callable[[Any, Sequence[Any], bool], Any]
GetMode = Callable[[Any, str | None, list[str]], Any]
Begin = Callable[[Any, Any], None]
Merge = Callable[[Any, Sequence[Any], Any], Any]


def hurry() -> None:
    """Keep what Hydra reads and works out again for each composition, and do not wait for the disk."""
    os.fsync = lambda descriptor: None
    with contextlib.suppress(AttributeError):  # of Hydra 1.3; where another has other names it takes its own time
        repository = config_repository.ConfigRepository
        repository.load_config = _read_once(repository.load_config)
        caching = config_repository.CachingConfigRepository
        caching.__init__ = _over_a_light_copy(caching.__init__)
        loader = ConfigLoaderImpl
        loader._compose_config_from_defaults_list = _merged_once(loader._compose_config_from_defaults_list)
        defaults_list._create_interpolation_map = _where_asked_for(defaults_list._create_interpolation_map)
        Hydra.get_mode = _if_a_word_says(Hydra.get_mode)
        version._get_version = functools.cache(version._get_version)


def _over_a_light_copy(begin: Begin) -> Begin:
    """Copy a repository without what is in it: all that a cache replaces there is its list of sources."""

    @functools.wraps(begin)
    def begun(self: Any, delegate: Any) -> None:
        self.delegate, self.cache = copy.copy(delegate), {}

    return begun


def _read_once(load_config: LoadConfig) -> LoadConfig:
    """Parse a file once, and again where it has changed since; what comes with Hydra itself does not change."""
    known: dict[tuple[Any, ...], bytes] = {}

    @functools.wraps(load_config)
    def read(self: Any, config_path: str) -> ConfigResult | None:
        key = _identity(self, config_path)
        if key is None:
            return load_config(self, config_path)
        if key not in known:
            result = load_config(self, config_path)
            result.identity = key  # type: ignore[union-attr]
            known[key] = pickle.dumps(result)
        return pickle.loads(known[key])  # type: ignore[no-any-return]

    return read


def _identity(repository: Any, config_path: str) -> tuple[Any, ...] | None:
    """Say which content a file has, and where it is from, which is part of what is read; None if there is no file."""
    source = repository._find_object_source(config_path=config_path, object_type=ObjectType.CONFIG)
    if source is None:
        return None
    key: tuple[Any, ...] = (source.scheme(), source.provider, source.path, config_path)
    if source.scheme() == "file":
        path = Path(source.path, source._normalize_file_name(config_path)).absolute()
        status = path.stat()
        key = (*key, path, status.st_ino, status.st_mtime_ns, status.st_size)
    return key


def _merged_once(merge: Merge) -> Merge:
    """Merge the same files in the same order once; what words say of values comes on top of that."""
    known: dict[tuple[Any, ...], bytes] = {}

    @functools.wraps(merge)
    def merged(self: Any, defaults: Sequence[Any], repo: Any) -> Any:
        read = (repo.load_config(default.config_path) for default in defaults)  # known by now
        files = [getattr(file, "identity", None) for file in read]
        if None in files:
            return merge(self, defaults, repo)
        key = tuple((file, default.package, default.primary) for file, default in zip(files, defaults, strict=True))
        if key not in known:
            known[key] = pickle.dumps(merge(self, defaults, repo))
        return pickle.loads(known[key])

    return merged


def _where_asked_for(choices: Choices) -> Choices:
    """Collect what was chosen so far for lists of defaults that refer to it, instead of for each file."""

    @functools.wraps(choices)
    def collected(overrides: Any, defaults: Sequence[Any], self_added: bool) -> Any:
        asked = any(default.is_interpolation() for default in defaults)
        return choices(overrides, defaults, self_added) if asked else OmegaConf.create()

    return collected


def _if_a_word_says(get_mode: GetMode) -> GetMode:
    """Compose a command once, not twice: first to see whether it is a multirun, which no file of the project says."""

    @functools.wraps(get_mode)
    def said(self: Any, config_name: str | None, overrides: list[str]) -> Any:
        return get_mode(self, config_name, overrides) if any("hydra" in word for word in overrides) else None

    return said
