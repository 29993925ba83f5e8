"""Whatever a model made has a note that says which model it was, by the SHA-256 of its weights."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from gulmfit.commands.embed import embed_file
from gulmfit.commands.explain import explain_file
from gulmfit.commands.generate import generate_file
from gulmfit.commands.predict import predict_file
from gulmfit.commands.score import score_file
from gulmfit.commands.variants import score_vcf
from gulmfit.errors import SequenceError
from gulmfit.model_files import digest_of_model
from gulmfit.pretrained import find
from gulmfit.weights import weights_digest

VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=a>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\na\t30\t.\t{}\t{}\t.\t.\t.\n"
)
COMMANDS: dict[str, tuple[Callable[..., Any], list[str], dict[str, Any]]] = {
    "predict": (predict_file, ["a.tsv", "b.tsv"], {"input": "a.fa"}),
    "explain": (explain_file, ["a.tsv"], {"input": "a.fa", "method": "gradients", "sanity": False}),
    "embed": (embed_file, ["a.npz"], {"input": "a.fa"}),
    "variants": (score_vcf, ["a.vcf"], {"vcf": "a.in.vcf", "genome": "a.fa", "window_bp": 21, "cache_dir": "store"}),
    "score": (score_file, ["a.tsv"], {"input": "a.fa", "model": "bacteria"}),
    "generate": (generate_file, ["a.fa.out.fa"], {"num_sequences": 2, "length_bp": 40, "model": "bacteria"}),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_output_names_its_model(
    name: str, make_model: Callable[..., Path], tmp_path: Path, random_text: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    text = random_text(60)
    Path("a.fa").write_text(f">a\n{text}\n")
    Path("a.in.vcf").write_text(VCF.format(text[29], "G" if text[29] == "C" else "C"))
    command, outputs, options = COMMANDS[name]
    given = {"model": str(make_model()), **options}
    command(output=",".join(outputs), **given)
    for output in outputs:
        note = json.loads(Path(f"{output}.json").read_text(encoding="utf-8"))
        assert note["file"] == output
        assert note["model"] == given["model"]
        assert note["model_sha256"] == weights_digest(find(given["model"]))
        assert {key: note["options"][key] for key in options} == options


def test_other_weights_are_another_model(make_model: Callable[..., Path]) -> None:
    one, other = make_model(name="one"), make_model(name="other", seed=2)
    assert load_file(one / "model.safetensors").keys() == load_file(other / "model.safetensors").keys()
    assert digest_of_model(one) != digest_of_model(other)
    assert digest_of_model(one) == digest_of_model(make_model(name="same"))


def test_a_command_that_fails_leaves_no_note(make_model: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">a\nACGTACGTACGT\n>b\nACGTACGT!\n")
    with pytest.raises(SequenceError, match="'b'"):
        predict_file(model=str(make_model()), input=str(tmp_path / "a.fa"), output=str(tmp_path / "a.tsv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fa", "model"]
