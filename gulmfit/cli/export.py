"""`gulmfit-export`."""

import sys

from gulmfit.cli.words import arguments, command, log_to_stdout
from gulmfit.errors import ConfigError

USAGE = """\
gulmfit-export onnx   model=RUN output=FILE.onnx [opset=17]
gulmfit-export card   model=RUN output=README.md [license=unknown] [repo=OWNER/NAME]
gulmfit-export push   model=RUN repo=OWNER/NAME [private=true] [revision=BRANCH] [license=unknown]
gulmfit-export pull   repo=OWNER/NAME|NAME output=FOLDER [revision=BRANCH|TAG|COMMIT]
gulmfit-export fastai model=RUN output=FILE.pth
gulmfit-export fastai weights=FILE.pth vocab=FILE output=FOLDER [k=5] [stride=2] [classes=A,B]

Takes models to other programs and back. RUN is a run folder, its model folder, a checkpoint, or a name.
onnx    a file that runs without gulmfit or torch, checked against the model; FILE.json has tokens and classes
card    what the model is, what it learned from and how good it is, as the README of a model hub
push    weights, configuration, calibration and card to the Hugging Face hub; the token is read from HF_TOKEN
pull    a model folder from there; nothing but the files of one is fetched. A NAME is one of gulmfit-models
fastai  a model as a fastai AWD-LSTM and its vocabulary (FILE.json), or one made with fastai, such as Genomic-ULMFiT's,
        as a model folder; vocab is .json, .txt, .npy or .pkl"""


@command
def export() -> None:
    """Exchange models: `gulmfit-export onnx|card|push|pull|fastai key=value ...`."""
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what in ("", "-h", "--help"):
        sys.stdout.write(USAGE + "\n")
        sys.exit(0 if what else 2)
    if what not in _COMMANDS:
        raise ConfigError(f"{what!r} is not one of {', '.join(_COMMANDS)}.\n{USAGE}")
    del sys.argv[1]
    log_to_stdout()
    _COMMANDS[what]()


def _onnx() -> None:
    values = arguments(USAGE, {"model": "", "output": "", "opset": 17}, ("model", "output"))
    from gulmfit.exchange.to_onnx import export_onnx

    export_onnx(**values)


def _card() -> None:
    known = {"model": "", "output": "", "license": "unknown", "repo": "OWNER/NAME"}
    values = arguments(USAGE, known, ("model", "output"))
    from gulmfit.exchange.card import write_card

    write_card(**values)


def _push() -> None:
    known = {"model": "", "repo": "", "private": True, "revision": "", "license": "unknown"}
    values = arguments(USAGE, known, ("model", "repo"))
    from gulmfit.exchange.hub import push

    push(**values)


def _pull() -> None:
    values = arguments(USAGE, {"repo": "", "output": "", "revision": ""}, ("repo",))
    from gulmfit.exchange.hub import pull

    pull(**values)


def _fastai() -> None:
    if any(word.startswith("model=") for word in sys.argv):
        values = arguments(USAGE, {"model": "", "output": ""}, ("model", "output"))
        from gulmfit.exchange.fastai_format import export_fastai

        export_fastai(**values)
    else:
        known = {"weights": "", "vocab": "", "output": "", "k": 5, "stride": 2, "classes": ""}
        values = arguments(USAGE, known, ("weights", "vocab", "output"))
        from gulmfit.exchange.fastai_format import import_fastai

        import_fastai(**values)


_COMMANDS = {"onnx": _onnx, "card": _card, "push": _push, "pull": _pull, "fastai": _fastai}
