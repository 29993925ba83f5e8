"""Which of two classes is the positive one, where nobody has said."""

import re
from collections.abc import Sequence

# Names that say what a sequence is not, or that it is there for comparison; and names that say what is looked for.
_NEGATIVE = re.compile(
    r"(non|neg|not[^a-z]|no[^a-z]|background|control|random|shuffled|decoy)|(0|no|not|false|bg|ctrl|none|others?|-)$"
)
_POSITIVE = re.compile(r"(positive|promoter|enhancer)|(1|pos|yes|true|\+)$")


def default_positive(classes: Sequence[str]) -> str:
    """Return the class that recall, precision and AUROC are about: of two the one that its name, or the other's, says.

    The other one of a class named like `non…`, `neg…`, `no`, `0`, `false`, `background` or `control` is positive; else
    a class named like `positive`, `promoter`, `enhancer`, `1`, `yes` or `true`; else, and of any other number of
    classes, the last.

    Args:
        classes: Names of one class or more, in order.
    """
    if len(classes) == 2:
        negative, positive = (
            [bool(pattern.match(name.strip().lower())) for name in classes] for pattern in (_NEGATIVE, _POSITIVE)
        )
        if negative[0] != negative[1]:
            return classes[negative.index(False)]
        if positive[0] != positive[1]:
            return classes[positive.index(True)]
    return classes[-1]
