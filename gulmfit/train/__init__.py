"""Training: Lightning tasks, schedules, gradual unfreezing, and the runs that a stage consists of."""

import sys
import types
from typing import Any


class _Callable(types.ModuleType):
    """This package, which can be called as well: `gulmfit.train(...)`."""

    def __call__(self, *words: Any, **keys: Any) -> Any:
        """Train; see `gulmfit.api.run_training`."""
        from gulmfit.moved import named

        return named("gulmfit.api.run_training")(*words, **keys)


sys.modules[__name__].__class__ = _Callable
