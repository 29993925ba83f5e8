"""Only the codons of a residue can be chosen, whatever the weights are."""

import pytest
import torch
from torch.nn import functional as F

from gulmfit.errors import ConfigError
from gulmfit.models.bi_lstm import BiLSTM
from gulmfit.models.codon_labeller import CodonCrossEntropy, CodonLabeller
from gulmfit.models.labeller import Labeller
from gulmfit.seq.alphabet import PROTEIN, encode
from gulmfit.seq.genome.genetic_code import CODONS, genetic_code
from gulmfit.seq.labels.codon_labels import CodonClasses, codon_classes
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

TOKENIZER = KmerTokenizer(1, 1, "protein")
PROTEINS = ["MKLMWACDEFGHIKLMNPQRSTVWY*", "KMU*", "M"]


def labeller(names: list[str], **other: object) -> CodonLabeller:
    torch.manual_seed(0)
    arguments = {
        "encoder": BiLSTM(len(TOKENIZER), 8, 8), "num_classes": len(names), "kmer_bases": 1, "kmer_stride": 1,
        "class_names": names, "letters": PROTEIN.letters, "num_special": TOKENIZER.num_special,
    }  # fmt: skip
    model = CodonLabeller(**{**arguments, **other})  # type: ignore[arg-type]
    with torch.no_grad():
        model.head[-1].weight.mul_(50)  # type: ignore[index,union-attr,operator]
    return model.eval()


def batch(proteins: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [torch.from_numpy(TOKENIZER.encode(encode(text, alphabet=PROTEIN))).long() for text in proteins]
    lengths = torch.tensor([len(row) for row in rows])
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths


@pytest.mark.parametrize("number", [1, 3, 4, 11, 12, 27])
def test_every_output_translates_back(number: int) -> None:
    code = genetic_code(number)
    classes = CodonClasses(codon_classes(code))
    logits, penalty = labeller(classes.names)(*batch(PROTEINS))
    assert penalty == 0
    assert logits.shape == (3, max(map(len, PROTEINS)), classes.width)
    for protein, row in zip(PROTEINS, logits, strict=True):
        options = torch.from_numpy(classes.options(classes.rows_of(protein)))
        assert (torch.isfinite(row[: len(protein)]) == (options >= 0)).all()
        chosen = options.gather(1, row[: len(protein)].argmax(1, keepdim=True))[:, 0]
        bases = "".join(CODONS[classes.codons[one]] for one in chosen)
        spelled = code.residues.decode()
        back = "".join(spelled[classes.codons[one]] for one in chosen)
        if protein[0] == "M":
            assert code.is_start[classes.codons[chosen[0]]]
            back = "M" + back[1:]
        assert back == protein.replace("U", "*"), bases


def test_it_is_a_labeller_whose_softmax_leaves_other_codons_out() -> None:
    classes = CodonClasses(codon_classes(genetic_code(11)))
    model = labeller(classes.names)
    tokens, lengths = batch(PROTEINS)
    found, _ = model(tokens, lengths)
    every, _ = Labeller.forward(model, tokens, lengths)
    for row, protein in enumerate(PROTEINS):
        for at, options in enumerate(classes.options(classes.rows_of(protein))):
            own = options[options >= 0].tolist()
            torch.testing.assert_close(model.outputs(found)[row, at, : len(own)], every[row, at, own].softmax(0))
            assert (model.outputs(found)[row, at, len(own) :] == 0).all()


def test_the_loss_is_that_of_known_residues() -> None:
    classes = CodonClasses(codon_classes(genetic_code(11)))
    model = labeller(classes.names)
    tokens, lengths = batch(PROTEINS[1:])
    logits, _ = model(tokens, lengths)
    labels = torch.tensor([classes.labels("KMU*", "AAGATGTGATAG"), [*classes.labels("M", "GTG"), -100, -100, -100]])
    every, _ = Labeller.forward(model, tokens, lengths)
    masked = torch.full_like(every, float("-inf"))
    for row, protein in enumerate(PROTEINS[1:]):
        for at, options in enumerate(classes.options(classes.rows_of(protein))):
            own = options[options >= 0]
            masked[row, at, own] = every[row, at, own]
    wanted = F.cross_entropy(masked[labels >= 0], labels[labels >= 0])
    torch.testing.assert_close(CodonCrossEntropy()(logits, model.learned(labels)), wanted)
    CodonCrossEntropy()(logits, model.learned(labels)).backward()
    assert all(bool(torch.isfinite(one.grad).all()) for one in model.parameters() if one.grad is not None)
    assert (model.scored(labels) == model.learned(labels)).all()


def test_other_tokens_and_classes_are_refused() -> None:
    names = codon_classes(genetic_code(11))
    with pytest.raises(ConfigError, match=r"tokenizer\.k=1 tokenizer\.stride=1"):
        labeller(names, kmer_bases=2)
    with pytest.raises(ConfigError, match="data=codons"):
        labeller(["H", "L"])
    with pytest.raises(ConfigError, match="alphabet=protein"):
        labeller(names, letters="ACGT")
