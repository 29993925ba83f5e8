"""`gulmfit-models`."""

import sys

from gulmfit.cli.words import arguments, command

USAGE = """\
gulmfit-models              lists the models that have a name
gulmfit-models name=NAME    prints the card of one

A model with a name is used without a path: init_from=NAME in training, model=NAME elsewhere. It ships with gulmfit, or
gulmfit-export pull repo=NAME fetches it. A file or folder of that name in the current folder comes before it."""


@command
def models() -> None:
    """List the models that have a name, or print the card of one: `gulmfit-models [name=NAME]`."""
    name = arguments(USAGE, {"name": ""}, ())["name"] if len(sys.argv) > 1 else ""
    from gulmfit.exchange.pretrained_card import listing, page_of

    sys.stdout.write(page_of(name) if name else listing())
