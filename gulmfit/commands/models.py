"""`gulmfit-models`."""

import sys

from gulmfit.exchange.pretrained_card import listing, page_of


def show_models(*, name: str = "") -> None:
    """List the models that have a name, or print the card of one.

    A model with a name is used without a path: init_from=NAME in training, model=NAME elsewhere. It ships with
    gulmfit, or gulmfit-export pull repo=NAME fetches it. A file or folder of that name in the current folder comes
    before it.

    Args:
        name: Print the card of this model.

    Raises:
        ConfigError: If no model of this name ships with gulmfit.
    """
    sys.stdout.write(page_of(name) if name else listing())
