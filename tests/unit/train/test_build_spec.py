"""Where a run takes its tokens from, and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import Spec, build_model, save_model
from gulmfit.config import compose, plain
from gulmfit.errors import TokenizerError
from gulmfit.seq.alphabet import Codes
from gulmfit.seq.tokens.subword_training import SubwordRecipe
from gulmfit.seq.tokens.tokenizer import KmerTokenizer, Tokenizer
from gulmfit.train.loop.fit import build_spec
from gulmfit.train.run import Run

CODES = np.random.default_rng(0).integers(0, 4, 4000).astype(np.uint8)
LEARNED, IN_FILE, IN_MODEL, IN_CHECKPOINT = (
    SubwordRecipe(kind="bpe", vocab_size=size).learn([CODES]) for size in (32, 20, 24, 28)
)


def model_spec(tokenizer: Tokenizer) -> Spec:
    return {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 4, "hidden_size": 4, "num_layers": 1},
        "head": {"_target_": "gulmfit.models.language_model.LanguageModel"},
        "dropout": {},
        "tokenizer": tokenizer.spec(),
        "classes": None,
    }


def saved(folder: Path, tokenizer: Tokenizer) -> Path:
    spec = model_spec(tokenizer)
    save_model(folder, spec, build_model(spec)[0].state_dict())
    return folder


def made(folder: Path, *words: str, corpus: Any = lambda: [CODES], kind: str = "bpe") -> Tokenizer:
    config = compose(["stage=pretrain", f"tokenizer={kind}", *words])
    if kind != "kmer":
        config.tokenizer.vocab_size = 32
    config.arch = {**model_spec(KmerTokenizer(1))["arch"]}
    run = Run(config, folder)
    spec = build_spec(run, plain(config.tokenizer), corpus=corpus)
    initial = run.initial_model(spec)
    tokenizer = build_model({**model_spec(KmerTokenizer(1)), "tokenizer": spec["tokenizer"]})[1]
    assert initial is None or initial.tokenizer == tokenizer
    return tokenizer


def never() -> list[Codes]:
    raise AssertionError("nothing is to be learned")


def test_tokens_are_learned_where_nothing_gives_them(tmp_path: Path) -> None:
    assert made(tmp_path) == LEARNED
    assert made(tmp_path, "tokenizer.k=3", kind="kmer", corpus=never) == KmerTokenizer(3, 2)
    with pytest.raises(TokenizerError, match=r"bpe sub-words .*tokenizer\.path=.*init_from="):
        made(tmp_path, corpus=None)


def test_a_file_goes_first_then_a_checkpoint_then_the_model_to_start_from(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", IN_MODEL)
    (tmp_path / "given.json").write_text(IN_FILE.document)
    checkpoint = tmp_path / "last.ckpt"
    content = {"hyper_parameters": {"spec": model_spec(IN_CHECKPOINT)}, "state_dict": {}, "global_step": 1}
    torch.save(content, checkpoint)
    path, resume = f"tokenizer.path={tmp_path / 'given.json'}", f"resume={checkpoint}"
    assert made(tmp_path, path, resume, corpus=never) == IN_FILE
    assert made(tmp_path, resume, corpus=never) == IN_CHECKPOINT
    assert made(tmp_path, f"init_from={model}", corpus=never) == IN_MODEL


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (
            KmerTokenizer(4, 1),
            "bpe",
            r"has KmerTokenizer\(k=4, stride=1\).*\bbpe\b.*tokenizer\.k=4 tokenizer\.stride=1",
        ),
        (IN_MODEL, "unigram", r"has SubwordTokenizer\(bpe, 24 tokens.*\bunigram\b.*tokenizer=bpe"),
        (IN_MODEL, "kmer", r"reads SubwordTokenizer\(bpe.*has KmerTokenizer\(k=5, stride=2\).*Set tokenizer=bpe"),
        (KmerTokenizer(4, 1), "kmer", r"reads KmerTokenizer\(k=4, stride=1\).*Set tokenizer=kmer tokenizer\.k=4"),
    ],
)
def test_tokens_of_another_kind_are_refused(theirs: Tokenizer, ours: str, message: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "model", theirs)
    with pytest.raises(TokenizerError, match=f"init_from={model} {message}"):
        made(tmp_path, f"init_from={model}", kind=ours, corpus=never)


def test_a_file_that_differs_from_the_model_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", IN_MODEL)
    (tmp_path / "given.json").write_text(IN_FILE.document)
    with pytest.raises(TokenizerError, match=r"init_from=.*\(bpe, 24 tokens, .*\(bpe, 20 tokens, .*tokenizer=bpe"):
        made(tmp_path, f"tokenizer.path={tmp_path / 'given.json'}", f"init_from={model}", corpus=never)
