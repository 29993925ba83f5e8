"""Everything gulmfit raises on purpose: one base class, one subclass for each kind of trouble.

A message says what was found, where (file, record, position or key), what is allowed and what to do.
"""


class GulmfitError(Exception):
    """Base of every error that a user can mend; commands print it without a traceback and exit with 1."""


class ConfigError(GulmfitError):
    """A configuration key, value or combination that cannot work."""


class SequenceError(GulmfitError):
    """A sequence file that is damaged, empty, or holds letters outside its alphabet."""


class DataError(GulmfitError):
    """A table, label set or split that cannot be learned from or evaluated on."""


class StoreError(GulmfitError):
    """A genome store that cannot be written or read."""


class TokenizerError(GulmfitError):
    """A tokenizer with impossible settings, or one that differs from the model's own."""


class CheckpointError(GulmfitError):
    """A checkpoint, model folder or run folder that is missing, damaged or of another kind."""


class TrainingError(GulmfitError):
    """Training that cannot start or go on."""


class DivergenceError(TrainingError):
    """A loss that became NaN or infinite, ran away, or fell back to where it began.

    Args:
        message: What happened, and at which step.
        healthy: The last step at which nothing was wrong yet; None if that is not known.
    """

    def __init__(self, message: str, healthy: int | None = None) -> None:
        super().__init__(message)
        self.healthy = healthy


class StoppedError(GulmfitError):
    """Work that was told to stop, by a signal, and has been saved; commands end with exit code 75."""


class WorthlessError(GulmfitError):
    """A run that has ended and written its results, which are worth nothing; commands end with exit code 3."""
