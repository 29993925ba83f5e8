"""Scores of variants are differences of predictions for haplotypes spelled by hand, and depend on nothing else."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from gulmfit.checkpoint import save_model
from gulmfit.commands import variants as variant_files
from gulmfit.commands.variants import Models, score_vcf
from gulmfit.errors import ConfigError, DataError
from gulmfit.evaluate.calibration import Calibration
from gulmfit.models.awd_rnn import AWDRNN
from gulmfit.models.classifier import MultiLabelClassifier, SequenceClassifier, SequenceRegressor
from gulmfit.models.language_model import LanguageModel
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.predictor import Predictor
from gulmfit.predict.variant_effects import Allele, VariantScorer, log_ratio
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.formats.vcf import Vcf
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

GENOME = "".join(np.random.default_rng(3).choice(list("ACGT"), size=200))


def other(base: str) -> str:
    return "T" if base != "T" else "G"


SUBSTITUTION = Allele("c", 100, GENOME[100], other(GENOME[100]))
INSERTION = Allele("c", 60, GENOME[60], GENOME[60] + "GATTACA")
DELETION = Allele("c", 140, GENOME[140:150], GENOME[140])
BLOCK = Allele("c", 80, GENOME[80:83], "".join(map(other, GENOME[80:83])))
AT_START = Allele("c", 2, GENOME[2], other(GENOME[2]))
AT_END = Allele("c", 198, GENOME[198], other(GENOME[198]))
ALLELES = [SUBSTITUTION, INSERTION, DELETION, BLOCK, AT_START, AT_END]
HEADER = "##fileformat=VCFv4.3\n##contig=<ID=c>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts1\n"


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def classifier(*classes: str) -> Predictor:
    torch.manual_seed(0)
    tokenizer = KmerTokenizer(3, 2)
    model = randomised(SequenceClassifier(AWDRNN(len(tokenizer), 8, 12, 2), len(classes), hidden_size=8))
    calibration = Calibration("temperature", temperature=1.7)
    return Predictor({"classes": list(classes), "positive": classes[0]}, model, tokenizer, "cpu", "32", calibration)


def language_model() -> LikelihoodScorer:
    torch.manual_seed(1)
    tokenizer = KmerTokenizer(3, 2)
    return LikelihoodScorer(
        randomised(LanguageModel(AWDRNN(len(tokenizer), 8, 12, 2), tokenizer.num_special, 16)), tokenizer, "cpu"
    )


def scorer(genome: str = GENOME, window_bp: int = 21, **options: object) -> VariantScorer:
    store = GenomeStore.from_sequences(["before", "c"], ["ACGTACGT", genome])
    options = {"predictor": classifier("yes", "no"), "likelihood": language_model()} | options
    return VariantScorer(store, window_bp=window_bp, **options)


def values(model: VariantScorer, alleles: list[Allele]) -> np.ndarray:
    return np.stack([score.values for score in model.score(alleles)])


def by_hand(allele: Allele) -> tuple[str, str]:
    """The windows of 21 bases of `ALLELES`, from plain slices of the genome."""
    start, end = allele.start, allele.start + len(allele.ref)
    if allele in (AT_START, AT_END):
        haplotype = GENOME[:start] + allele.alt + GENOME[end:]
        return (GENOME[:21], haplotype[:21]) if allele == AT_START else (GENOME[-21:], haplotype[-21:])
    if allele == INSERTION:  # 7 bases, so 7 on either side of them; without them 10 and 11
        return GENOME[51:72], GENOME[54:61] + "GATTACA" + GENOME[61:68]
    if allele == DELETION:  # 9 bases, so 6 on either side; without them 10 and 11
        return GENOME[135:156], GENOME[131:141] + GENOME[150:161]
    around = 10 if allele == SUBSTITUTION else 9
    return GENOME[start - around : end + around], GENOME[start - around : start] + allele.alt + GENOME[end:][:around]


@pytest.mark.parametrize("number", range(len(ALLELES)))
def test_a_score_is_the_difference_of_two_predictions(number: int) -> None:
    allele, model = ALLELES[number], scorer(strand="forward")
    ref, alt = classifier("yes", "no").predict(by_hand(allele))[:, 0]
    nats, bases = language_model().score(by_hand(allele))
    assert bases[0] == bases[1] == 21
    assert list(model.fields) == ["GULMFIT_DP", "GULMFIT_REF", "GULMFIT_ALT", "GULMFIT_LLR"]
    (score,) = model.score([allele])
    np.testing.assert_allclose(score.values, [alt - ref, ref, alt, nats[1] - nats[0]], atol=2e-6)
    assert abs(score.values[0]) > 1e-4  # or the test would say nothing
    assert score.notes == (("off_centre",) if allele in (AT_START, AT_END) else ())


def test_the_mean_over_strands_is_that_of_the_predictor() -> None:
    ref, alt = classifier("yes", "no").predict(by_hand(SUBSTITUTION), strand="average")[:, 0]
    nats, _ = language_model().score(by_hand(SUBSTITUTION), strand="average")
    found = values(scorer(), [SUBSTITUTION])
    np.testing.assert_allclose(found, [[alt - ref, ref, alt, nats[1] - nats[0]]], atol=2e-6)


@pytest.mark.parametrize("window_bp", [20, 21, 400])
def test_a_genome_may_be_written_as_either_strand(window_bp: int) -> None:
    mirrored = [
        Allele("c", 200 - start - len(ref), reverse_complement_text(ref), reverse_complement_text(alt))
        for _, start, ref, alt in ALLELES
    ]
    there = scorer(reverse_complement_text(GENOME), window_bp)
    np.testing.assert_allclose(values(scorer(window_bp=window_bp), ALLELES), values(there, mirrored), atol=2e-6)
    here, there = (scorer(genome, window_bp, strand="both") for genome in (GENOME, reverse_complement_text(GENOME)))
    half = len(here.fields) // 2
    ends = [name.rpartition("_")[2] for name in here.fields]
    forward = [index for index, end in enumerate(ends) if end == "FWD"]
    reverse = [index for index, end in enumerate(ends) if end == "REV"]
    assert len(forward) == len(reverse) == half == 4
    np.testing.assert_allclose(values(here, ALLELES)[:, reverse], values(there, mirrored)[:, forward], atol=2e-6)
    alone = values(scorer(window_bp=window_bp, strand="forward"), ALLELES)
    np.testing.assert_allclose(values(here, ALLELES)[:, forward], alone, atol=2e-6)


def test_the_reference_allele_scores_exactly_nothing() -> None:
    same = [allele._replace(alt=allele.ref) for allele in ALLELES]
    for strand in ("average", "forward", "both"):
        model = scorer(strand=strand)
        changes = [index for index, name in enumerate(model.fields) if "_DP" in name or "_LLR" in name]
        assert not values(model, [*same, *ALLELES])[: len(same), changes].any()


def test_neither_order_nor_company_matters() -> None:
    together = values(scorer(batch_size=7), ALLELES)
    np.testing.assert_allclose(values(scorer(batch_size=7), ALLELES[::-1])[::-1], together, atol=2e-6)
    alone = np.concatenate([values(scorer(), [allele]) for allele in ALLELES])
    np.testing.assert_allclose(alone, together, atol=2e-6)


def test_a_mutation_scan_is_brute_force_and_runs_each_window_once(monkeypatch: pytest.MonkeyPatch) -> None:
    alleles = [
        Allele("c", start, GENOME[start], base) for start in range(50, 150) for base in "ACGT" if base != GENOME[start]
    ]
    texts = [
        GENOME[allele.start - 10 : allele.start] + allele.alt + GENOME[allele.start + 1 :][:10] for allele in alleles
    ]
    references = [GENOME[allele.start - 10 : allele.start + 11] for allele in alleles]
    ran: list[int] = []
    plain = Predictor.predict
    monkeypatch.setattr(Predictor, "predict", lambda self, run, **o: (ran.append(len(run)), plain(self, run, **o))[1])
    model = scorer(strand="forward")
    found = values(model, alleles)
    assert ran == [len({*texts, *references})] == [400]
    np.testing.assert_allclose(found[:, 2], plain(model.predictor, texts)[:, 0], atol=2e-6)
    np.testing.assert_allclose(found[:, 1], plain(model.predictor, references)[:, 0], atol=2e-6)
    nats = language_model()
    np.testing.assert_allclose(found[:, 3], nats.score(texts)[0] - nats.score(references)[0], atol=2e-5)


def test_more_classes_than_two_have_fields_of_their_own() -> None:
    model = scorer(predictor=classifier("a b", "c,d", "e"), likelihood=None, strand="forward")
    assert [name for name in model.fields if "_DP" in name] == ["GULMFIT_DP_a_b", "GULMFIT_DP_c_d", "GULMFIT_DP_e"]
    found = values(model, ALLELES).reshape(len(ALLELES), 3, 3)
    np.testing.assert_allclose(found.sum(1), np.tile([0.0, 1.0, 1.0], (len(ALLELES), 1)), atol=1e-6)
    alike = scorer(predictor=classifier("a b", "a_b", "e"), likelihood=None)
    assert [name for name in alike.fields if "_DP" in name] == ["GULMFIT_DP_0", "GULMFIT_DP_1", "GULMFIT_DP_2"]
    assert "'a b'" in alike.fields["GULMFIT_DP_0"]


def test_labels_and_values_are_all_told() -> None:
    encoder = AWDRNN(len(KmerTokenizer(3, 2)), 8, 12, 2)
    cases = [
        (MultiLabelClassifier(encoder, 2), ["x", "y"], ["GULMFIT_DP_x", "GULMFIT_DP_y"], "probability of 'x'"),
        (SequenceRegressor(encoder, 1), ["x"], ["GULMFIT_DP"], "value of 'x'"),
    ]
    for model, names, fields, described in cases:
        predictor = Predictor({"classes": names}, model, KmerTokenizer(3, 2), "cpu")
        found = scorer(predictor=predictor, likelihood=None).fields
        assert [name for name in found if "_DP" in name] == fields
        assert described in found[fields[0]]


def test_what_is_special_is_noted() -> None:
    genome = GENOME[:90] + "N" + GENOME[91:]
    long = Allele("c", 120, GENOME[120:150], GENOME[120])
    assert [score.notes for score in scorer(genome).score([SUBSTITUTION, DELETION, long])] == [
        ("ambiguous",), (), ("too_long",),
    ]  # fmt: skip
    small, tiny = Allele("before", 3, "T", "G"), Allele("before", 0, "ACGTACGT", "AC")
    short, none = scorer(strand="forward").score([small, tiny])
    assert short.notes == ("short_contig",)
    assert none.notes == ("too_short",)
    assert not np.isnan(short.values).any()
    assert np.isnan(none.values).all()


def test_log_ratio() -> None:
    np.testing.assert_allclose(log_ratio(np.array([-30.0, -33.0]), np.array([21.0, 21.0])), -3.0)
    np.testing.assert_allclose(log_ratio(np.array([-30.0, -30.0]), np.array([20.0, 24.0])), 22 * (30 / 20 - 30 / 24))
    assert np.isnan(log_ratio(np.array([-30.0, 0.0]), np.array([21.0, 0.0])))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"strand": "reverse"}, "strand='reverse'"), ({"window_bp": 2}, "window_bp=2: .* 3 bases"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"predictor": None, "likelihood": None}, r"^variants .*classifier.*language model"),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        scorer(**options)


# ------------------------------------------------------------------------------------------------------------- files


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Score a VCF of the given records on `GENOME`; returns the path of the output."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    models = Models(classifier("yes", "no"), language_model(), {"classifier": weights}, 21)
    monkeypatch.setattr(Models, "load", lambda *words: models)
    (tmp_path / "genome.fa").write_text(f">c\n{GENOME}\n>d\nACGTACGTNN\n")

    def score(*records: str, output: str = "out.vcf", header: str = HEADER, **words: object) -> Path:
        (tmp_path / "in.vcf").write_text(header + "".join(f"{record}\n" for record in records))
        defaults = {
            "language_model": "", "window_bp": 0, "strand": "average", "batch_size": 8, "precision": "32",
            "on_mismatch": "error", "cache_dir": str(tmp_path / "store"),
        }  # fmt: skip
        given = {"model": str(weights), "vcf": str(tmp_path / "in.vcf"), "genome": str(tmp_path / "genome.fa")}
        score_vcf(**(defaults | given | {"output": str(tmp_path / output)} | words))
        return tmp_path / output

    return score


def line(allele: Allele, alt: str = "", info: str = "DP=7") -> str:
    return f"c\t{allele.start + 1}\trs1\t{allele.ref}\t{alt or allele.alt}\t9\tPASS\t{info}\tGT\t0/1"


def added(path: Path) -> list[dict[str, list[str]]]:
    """Return what was added to INFO, value by value."""
    infos = [record.fields[7].split(";") for record in Vcf(path).records()]
    words = [[word.split("=") for word in info if word.startswith("GULMFIT_")] for info in infos]
    return [{key: value.split(",") for key, value in info} for info in words]


def test_a_scored_vcf_is_the_given_one_and_the_scores(command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variant_files, "RECORDS_AT_ONCE", 2)  # more than one bite
    alleles = ALLELES[::-1]
    records = [*map(line, alleles), line(SUBSTITUTION, "<DEL>", "."), "c\t0\t.\tN\t<DUP>\t.\t.\tDB\tGT\t0|0"]
    path = command(*records, line(SUBSTITUTION, ".", "."))
    scored = Vcf(path)
    kept = [
        [*fields[:7], ";".join(word for word in fields[7].split(";") if "GULMFIT" not in word) or ".", *fields[8:]]
        for fields in (record.fields for record in scored.records())
    ]
    assert kept == [record.split("\t") for record in [*records, line(SUBSTITUTION, ".", ".")]]
    lines = HEADER.splitlines()
    assert [text for text in scored.header if "gulmfit" not in text.lower()] == lines
    digest = hashlib.sha256(b"weights").hexdigest()
    assert any(text.startswith("##gulmfit=<ID=classifier") and digest in text for text in scored.header)
    model = scorer()
    written = added(path)
    for info, score in zip(written[: len(alleles)], model.score(alleles), strict=True):
        np.testing.assert_allclose([float(info[name][0]) for name in model.fields], score.values, atol=3e-6)
        assert info["GULMFIT_NOTE"] == ["&".join(score.notes) or "."]
        assert set(info) <= {text.split(",")[0].removeprefix("##INFO=<ID=") for text in scored.header}
    assert [info.get("GULMFIT_NOTE") for info in written[-3:]] == [["symbolic"], ["symbolic"], None]
    assert [info.get("GULMFIT_DP") for info in written[-3:]] == [["."], ["."], None]
    zipped = command(*records, line(SUBSTITUTION, ".", "."), output="out.vcf.gz")
    assert [record.fields for record in Vcf(zipped).records()] == [record.fields for record in scored.records()]
    written = ["out.vcf", "out.vcf.gz"]
    assert {item.name for item in tmp_path.glob("*out*")} == {*written, *(f"{name}.json" for name in written)}


def test_several_alleles_of_a_record_are_scored_one_by_one(command) -> None:
    others = [base for base in "ACGT" if base != SUBSTITUTION.ref]
    (together,) = added(command(line(SUBSTITUTION, ",".join([*others[:2], "*", "TTT", others[2]]))))
    alone = added(command(*(line(SUBSTITUTION, alt) for alt in [*others[:2], "*", "TTT", others[2]])))
    assert together["GULMFIT_NOTE"] == [".", ".", "spanning_deletion", ".", "."]
    for name, found in together.items():
        expected = [info[name][0] for info in alone]
        if name == "GULMFIT_NOTE":
            assert found == expected
        else:
            assert found[2] == expected[2] == "."
            del found[2], expected[2]
            np.testing.assert_allclose([*map(float, found)], [*map(float, expected)], atol=3e-6)


def test_tables_have_a_row_for_each_allele(command) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    records = [line(SUBSTITUTION, f"{SUBSTITUTION.alt},<DEL>"), line(INSERTION)]
    header, *rows = [row.split("\t") for row in command(*records, output="out.tsv").read_text().splitlines()]
    names = list(scorer().fields)
    assert header == ["chrom", "pos", "id", "ref", "alt", *names, "GULMFIT_NOTE"]
    assert [row[:5] for row in rows] == [
        ["c", "101", "rs1", SUBSTITUTION.ref, SUBSTITUTION.alt],
        ["c", "101", "rs1", SUBSTITUTION.ref, "<DEL>"],
        ["c", "61", "rs1", INSERTION.ref, INSERTION.alt],
    ]
    table = parquet.read_table(command(*records, output="out.parquet"))
    assert table.column_names == header
    full = np.array([table[name].to_numpy() for name in names]).T
    np.testing.assert_allclose(full[[0, 2]], values(scorer(), [SUBSTITUTION, INSERTION]), atol=2e-6)
    np.testing.assert_allclose(np.array([row[5:-1] for row in rows], dtype=float), full, atol=1e-6)
    assert np.isnan(full[1]).all()
    assert table["GULMFIT_NOTE"].to_pylist() == [row[-1] for row in rows] == ["", "symbolic", ""]


def test_a_ref_that_is_not_in_the_genome_is_refused_or_left_out(command, tmp_path: Path) -> None:
    shifted = [line(allele._replace(start=allele.start - 1)) for allele in (BLOCK, DELETION)]
    shifted += [line(Allele("c", start, other(GENOME[start]), "A")) for start in range(110, 140)]
    first, last = line(SUBSTITUTION), "d\t10\t.\tA\tC\t.\t.\t.\tGT\t1"  # an N of the genome agrees with every base
    with pytest.raises(DataError) as told:
        command(first, *shifted, last)
    message = str(told.value)
    assert "32 of 34 records" in message
    assert "0-based positions?" in message
    assert f"in.vcf, line 5, c:80: REF '{BLOCK.ref}', genome '{GENOME[79:82]}'" in message
    assert message.count("genome '") == 20
    assert not list(tmp_path.glob("*out*"))
    with pytest.raises(DataError, match="1 of 3 records") as told:
        command(first, shifted[0], last)
    assert "Wrong genome" not in str(told.value)
    path = command(first, shifted[0], last, on_mismatch="skip")
    assert [info["GULMFIT_NOTE"] for info in added(path)][1] == ["ref_mismatch"]
    assert [info["GULMFIT_DP"] == ["."] for info in added(path)] == [False, True, False]
    listed = Path(f"{path}.mismatches.tsv").read_text().splitlines()
    assert listed == [
        "place\tcontig\tposition\tref\tgenome",
        f"{tmp_path / 'in.vcf'}, line 5\tc\t80\t{BLOCK.ref}\t{GENOME[79:82]}",
    ]


@pytest.mark.parametrize(
    ("record", "words", "complaint"),
    [
        (
            "chrc\t5\t.\tA\tC\t.\t.\t.\tGT\t1",
            {},
            r"contig 'chrc' \(1 records\) .*'c', 'd'\. .*'chr': bcftools",
        ),
        ("x\t5\t.\tA\tC\t.\t.\t.\tGT\t1", {}, r"contig 'x' .*'d'\. Give the genome"),
        ("d\t9\t.\tNNN\tN\t.\t.\t.\tGT\t1", {}, "line 5, d:9: REF of 3 .* 1 to 10"),
        ("d\t0\t.\tA\tC\t.\t.\t.\tGT\t1", {}, "line 5, d:0: REF"),
        (line(SUBSTITUTION), {"output": "out.bed"}, "out.bed: give"),
        (line(SUBSTITUTION), {"output": "in.vcf"}, "in.vcf is read"),
        (line(SUBSTITUTION), {"on_mismatch": "warn"}, "on_mismatch='warn'"),
        (
            line(SUBSTITUTION),
            {"header": HEADER.replace("##contig", "##INFO=<ID=GULMFIT_DP,Number=A>\n##contig")},
            "scores already: GULMFIT_DP.*annotate -x INFO/GULMFIT_DP",
        ),
    ],
)
def test_what_cannot_be_scored_is_told_and_nothing_is_left(
    command, tmp_path: Path, record: str, words: dict[str, str], complaint: str
) -> None:
    words.setdefault("on_mismatch", "skip")
    with pytest.raises((ConfigError, DataError), match=complaint):
        command(line(SUBSTITUTION), record, **words)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("output", ["out.vcf.gz", "out.tsv"])
def test_nothing_is_left_of_a_command_that_fails_half_way(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    plain, calls = VariantScorer.score, []

    def score(self: VariantScorer, alleles: list[Allele]) -> list:
        calls.append(alleles)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return plain(self, alleles)

    monkeypatch.setattr(variant_files, "RECORDS_AT_ONCE", 2)
    monkeypatch.setattr(VariantScorer, "score", score)
    with pytest.raises(KeyboardInterrupt):
        command(*map(line, ALLELES), output=output, on_mismatch="skip")
    assert len(calls) == 2
    assert not list(tmp_path.glob("*out*"))


def saved(folder: Path, classes: list[str] | None, **more: object) -> str:
    """Write a model folder with random weights."""
    head = {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 8}
    if not classes:
        head = {"_target_": "gulmfit.models.language_model.LanguageModel"}
    model = classifier(*classes).model if classes else language_model().model
    spec = {
        "arch": {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 12, "num_layers": 2},
        "head": head, "dropout": {}, "tokenizer": KmerTokenizer(3, 2).spec(), "classes": classes, "positive": "",
    }  # fmt: skip
    save_model(folder, spec | more, model.state_dict())
    return str(folder)


def test_models_are_told_apart(tmp_path: Path) -> None:
    plain, language = saved(tmp_path / "c", ["a", "b"]), saved(tmp_path / "l", None)
    both = Models.load(plain, language, "32")
    assert both.predictor is not None
    assert both.likelihood is not None
    assert list(both.files) == ["classifier", "language_model"]
    assert all((source / "config.json").is_file() for source in both.files.values())
    assert both.sequence_bp == 0
    alone = Models.load(language, "", "32")
    assert (alone.predictor, list(alone.files)) == (None, ["language_model"])
    assert Models.load(saved(tmp_path / "d", ["a", "b"], sequence_bp=81), "", "32").sequence_bp == 81
    with pytest.raises(ConfigError, match=r"model=.*/l .*language_model="):
        Models.load(language, language, "32")


def test_the_window_must_be_known(command, monkeypatch: pytest.MonkeyPatch) -> None:
    models = Models.load("m", "", "32")
    monkeypatch.setattr(Models, "load", lambda *words: models._replace(sequence_bp=0))
    with pytest.raises(ConfigError, match=r"window_bp= .*model\.safetensors .*window_bp=501"):
        command(line(SUBSTITUTION))
    assert "WindowBp=33" in command(line(SUBSTITUTION), window_bp=33).read_text()
