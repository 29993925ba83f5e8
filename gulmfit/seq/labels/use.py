"""What labels are read for: training needs more of them than scoring does."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_only_scored: ContextVar[bool] = ContextVar("only_scored", default=False)


@contextmanager
def scoring_labels() -> Iterator[None]:
    """Read labels that nothing learns from, for as long as this lasts: examples of one class are enough."""
    token = _only_scored.set(True)
    try:
        yield
    finally:
        _only_scored.reset(token)


def only_scored() -> bool:
    """Whether nothing learns from the labels that are read."""
    return _only_scored.get()
