"""Explanations: equal to brute force, complete, the same in every batch, and at the planted motif."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from gulmfit.checkpoint import LoadedModel, build_model
from gulmfit.errors import CheckpointError, ConfigError, SequenceError
from gulmfit.explain import differences, prefixes, substituting
from gulmfit.explain.attribution import Attribution, substitutions
from gulmfit.explain.explained import Explained
from gulmfit.explain.explainer import Explainer, Settings, against_random_weights
from gulmfit.explain.gradients import COMPLETE, IntegratedGradients
from gulmfit.explain.patterns import profile, strongest_words
from gulmfit.explain.substituting import Deletion
from gulmfit.models.hardware import threads
from gulmfit.predict.language.likelihood import LikelihoodScorer
from gulmfit.predict.predictor import PositionPredictor, Predictor, Record
from gulmfit.seq.alphabet import alphabet_named, decode, encode, reverse_complement
from gulmfit.seq.tokens.subword_training import SubwordRecipe

AWD = {"_target_": "gulmfit.models.awd_rnn.AWDRNN", "embed_size": 8, "hidden_size": 12, "num_layers": 2}
CONV = {"_target_": "gulmfit.models.conv_rnn.ConvRNN", "embed_size": 8, "filters": 12, "width": 5, "hidden_size": 8}
KMERS = {"_target_": "gulmfit.seq.tokens.tokenizer.KmerTokenizer", "k": 3, "stride": 2}
CLASSIFIER = {"_target_": "gulmfit.models.classifier.SequenceClassifier", "hidden_size": 8, "bins": 3}
TWO_MERS, GAPPED = {**KMERS, "k": 2, "stride": 1}, {**CLASSIFIER, "gaps": 3}
HEADS = "gulmfit.models.classifier"


def explained(
    head: dict[str, Any] = CLASSIFIER, arch: dict[str, Any] = AWD, classes: tuple[str, ...] = ("no", "yes"),
    tokenizer: dict[str, Any] = KMERS, more: dict[str, Any] | None = None, **options: Any,
) -> Explained:  # fmt: skip
    rates = dict.fromkeys(("embed_p", "input_p", "weight_p", "hidden_p", "output_p"), 0.0)
    spec = {"arch": arch, "head": head, "dropout": rates, "tokenizer": tokenizer, "classes": list(classes),
            "positive": None, **(more or {})}  # fmt: skip
    torch.manual_seed(0)
    model, built = build_model(spec)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    for name, parameter in model.named_parameters():
        if name.endswith("embedding.weight"):
            nn.init.zeros_(parameter[built.pad_id].detach())  # as in every model: padding must add nothing
    return Explained(LoadedModel(spec, model.eval(), built, Path("a model")), "a model", device="cpu", **options)


def records(lengths: tuple[int, ...] = (30, 41, 8, 25), letters: int = 4, unknown: int = 1) -> list[Record]:
    random = np.random.default_rng(0)
    found = [Record(str(n), random.integers(0, letters, n).astype(np.uint8)) for n in lengths]
    for number in range(unknown):  # an ambiguous base
        found[number].codes[5] = letters
    return found


def odds(predictor: Predictor, codes: list[Any]) -> Any:
    texts = [decode(one, predictor.tokenizer.alphabet) for one in codes]
    found = predictor.predict(texts, raw=True)
    return np.log(found / (1 - found)) if predictor.gives_probabilities else found


def subwords() -> dict[str, Any]:
    pytest.importorskip("tokenizers")
    corpus = np.random.default_rng(0).choice(4, 5000, p=[0.4, 0.2, 0.2, 0.2]).astype(np.uint8)
    return SubwordRecipe(kind="bpe", vocab_size=24, alphabet="dna").learn([corpus], seed=0).spec()


MODELS: dict[str, Callable[[], Explained]] = {
    "causal": explained,
    "both strands": lambda: explained(arch={**AWD, "strands": "both"}),
    "symmetric": lambda: explained(arch={**AWD, "strands": "symmetric"}),
    "both ways": lambda: explained(arch=CONV),
    "ensemble": lambda: explained(more={"ensemble": 2}),
    "gapped k-mers": lambda: explained(GAPPED, {**CONV, "strands": "symmetric"}, tokenizer=TWO_MERS),
    "ensemble with gapped k-mers": lambda: explained(GAPPED, CONV, tokenizer=TWO_MERS, more={"ensemble": 2}),
    "label sets": lambda: explained({**CLASSIFIER, "_target_": f"{HEADS}.MultiLabelClassifier"}, classes=tuple("abc")),
    "values": lambda: explained({**CLASSIFIER, "_target_": f"{HEADS}.SequenceRegressor"}, classes=("x",)),
    "gaps": lambda: explained(tokenizer={**KMERS, "k": 2, "stride": 3}),
    "sub-words": lambda: explained(tokenizer=subwords()),
    "proteins": lambda: explained(tokenizer={**KMERS, "k": 2, "stride": 1, "alphabet": "protein"}),
}


def predictor_of(model: Explained, kind: type[Predictor] = Predictor) -> Predictor:
    kept: Any = model.kept
    return kind(kept.spec, kept.model, kept.tokenizer, "cpu")


@pytest.mark.parametrize("name", MODELS)
def test_mutagenesis_is_brute_force(name: str) -> None:
    model = MODELS[name]()
    letters = len(model.tokenizer.alphabet)
    given = records(letters=letters)
    explainer = Explainer(model, Settings(batch_size=3))
    predictor = predictor_of(model)
    columns = [predictor.classes.index(output) for output in model.names]
    for record, one in zip(given, explainer.explain(given), strict=True):
        assert one.record is record
        versions, places, changed = substitutions(record.codes, letters)
        assert len(versions) == len(record.codes) * (letters - 1) + int((record.codes == letters).sum())
        found = odds(predictor, [record.codes, *versions])[:, columns]
        assert one.effects is not None
        np.testing.assert_allclose(one.scores, found[0], atol=1e-4)
        np.testing.assert_allclose(one.effects[:, places, changed].T, found[1:] - found[0], atol=2e-4)
        rest = one.effects.copy()
        rest[:, places, changed] = 0
        assert not rest.any()
        base = 7
        alternatives = np.delete(one.effects[:, base], record.codes[base], axis=1)
        np.testing.assert_allclose(one.contributions[:, base], -alternatives.mean(1))


@pytest.mark.parametrize("name", ["causal", "both strands", "ensemble", "language model", "sub-words"])
def test_differences_are_brute_force(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of differences in bf16 move each effect by a share of the effects, however small these are."""
    monkeypatch.setattr(differences, "NARROWEST", 8)
    language = {"_target_": "gulmfit.models.language_model.LanguageModel"}
    whole = explained(language, classes=()) if name == "language model" else MODELS[name]()
    given = records()
    exact = list(Explainer(whole, Settings()).explain(given))
    whole.mixed = True  # whether or not this machine is fast at it
    for batch_size in (1, 4):
        for one, other in zip(exact, Explainer(whole, Settings(batch_size=batch_size)).explain(given), strict=True):
            assert one.effects is not None
            assert other.effects is not None
            np.testing.assert_allclose(other.scores, one.scores, atol=1e-4)
            error = other.effects - one.effects
            assert np.sqrt((error**2).mean()) < 0.01 * np.sqrt((one.effects**2).mean())
            # Not all of them are large: a share of the largest would hide that.
            small = np.abs(one.effects) < np.median(np.abs(one.effects))
            assert np.sqrt((error[small] ** 2).mean()) < 0.05 * np.sqrt((one.effects[small] ** 2).mean()) + 2e-5


def test_threads_change_nothing() -> None:
    model, given = explained(), records((30, 41, 8, 25, 33))
    with threads(1):
        alone = list(Explainer(model, Settings()).explain(given))
    with threads(3):
        explainer = Explainer(model, Settings())
        for one, other in zip(alone, explainer.explain(given), strict=True):
            assert one.record is other.record
            np.testing.assert_allclose(one.effects, other.effects, atol=1e-5)
        assert torch.get_num_threads() == 3
    assert explainer.method.scorer.versions == sum(len(substitutions(one.codes, 4)[0]) for one in given)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("method", "expected"), [("gradients", (8, 4)), ("mutagenesis", (1, 2))])
def test_a_thread_takes_a_batch_of_versions(method: str, expected: tuple[int, int]) -> None:
    """Gradients have all threads for each batch; batches are as large later on as they are at first."""
    given, seen = records((9,) * 64), list[tuple[int, int]]()

    def together(some: list[Record]) -> list[Attribution]:
        seen.append((torch.get_num_threads(), len(some)))
        return [Attribution(one, np.zeros(1), np.zeros((1, 9)), None, np.zeros(1)) for one in some]

    with threads(8):
        explainer = Explainer(explained(), Settings(method=method, batch_size=4))
        explainer._together = together  # type: ignore[method-assign]
        assert [one.record.name for one in explainer.explain(given)] == [one.name for one in given]
    assert set(seen) == {expected}


def test_prefixes_save_what_they_should() -> None:
    def share(model: Explained) -> float:
        explainer = Explainer(model, Settings())
        list(explainer.explain(records((120,) * 3, unknown=0)))
        scorer = explainer.method.scorer  # type: ignore[attr-defined]
        return float(scorer.tokens_run / scorer.tokens_whole)

    assert 0.45 < share(explained()) < 0.55
    assert share(explained(arch=CONV)) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("method", ["mutagenesis", "gradients", "deletion"])
@pytest.mark.parametrize("name", ["causal", "both strands", "both ways", "ensemble"])
def test_batches_and_padding_change_nothing(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = MODELS[name](), records()
    whole = list(Explainer(model, Settings(method, shuffles=2, steps=4)).explain(given))
    monkeypatch.setattr(substituting, "TOKENS_HELD", 200)
    monkeypatch.setattr(prefixes, "TOKENS_AT_ONCE", 64)
    alone = [next(Explainer(model, Settings(method, shuffles=2, steps=4)).explain([record])) for record in given]
    for one, other in zip(whole, alone, strict=True):
        np.testing.assert_allclose(one.contributions, other.contributions, atol=2e-4)


def test_both_strands_are_averaged() -> None:
    model, given = explained(), records(unknown=0)
    turned = [record._replace(codes=reverse_complement(record.codes)) for record in given]
    average = Settings(strand="average")
    found, other = (list(Explainer(model, average).explain(some)) for some in (given, turned))
    forward = [list(Explainer(model, Settings()).explain(some)) for some in (given, turned)]
    for number, (one, two) in enumerate(zip(found, other, strict=True)):
        assert one.effects is not None
        assert two.effects is not None
        np.testing.assert_allclose(one.contributions, two.contributions[:, ::-1], atol=1e-5)
        np.testing.assert_allclose(one.effects, two.effects[:, ::-1, ::-1], atol=1e-5)
        mean = (forward[0][number].contributions + forward[1][number].contributions[:, ::-1]) / 2
        np.testing.assert_allclose(one.contributions, mean, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "gaps"])
def test_gradients_are_complete(name: str) -> None:
    model = MODELS[name]()
    given = records(letters=len(model.tokenizer.alphabet))
    method = IntegratedGradients(model, count=3)
    for record, one in zip(given, method.explain(given), strict=True):
        own = model.tokenizer.encode(record.codes)
        others = method._baselines(record.codes, own)
        assert all(sorted(other) == sorted(own) for other in others) or name != "sub-words"
        rows = torch.from_numpy(np.stack([own, *others]).astype(np.int64))
        scores = model.scores(rows, torch.full((4,), rows.shape[1])).detach().numpy()
        change = scores[0] - scores[1:].mean(0)
        size = np.maximum(np.abs(change), 0.1 * np.abs(one.contributions).sum(1))
        assert (np.abs(one.contributions.sum(1) - change) <= 1.5 * COMPLETE * size + 1e-5).all()
        assert (one.error <= COMPLETE).all()


def test_first_order_effects_are_those_of_the_tokens() -> None:
    """Of a network that adds up what each token is worth, gradients tell exactly what mutagenesis does."""
    model = explained()

    def scores(tokens: Tensor, lengths: Tensor) -> Tensor:
        real = torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)
        return (model.encoders[0].embedding(tokens) * real.unsqueeze(-1)).sum((1, 2)).double().unsqueeze(1)

    model.scores = scores  # type: ignore[method-assign]
    given = records(unknown=0)
    tokenizer, weight = model.tokenizer, model.encoders[0].embedding.weight.detach().numpy().sum(1)
    for record, one in zip(given, IntegratedGradients(model, count=2).explain(given), strict=True):
        versions, places, changed = substitutions(record.codes, 4)
        expected = [weight[tokenizer.encode(v)].sum() - weight[tokenizer.encode(record.codes)].sum() for v in versions]
        assert one.effects is not None
        np.testing.assert_allclose(one.effects[0, places, changed], expected, atol=1e-4)


def test_first_order_effects_are_those_of_gapped_kmers() -> None:
    """Their weights are added to the logits: where nothing else speaks, gradients tell what mutagenesis does."""
    model = MODELS["ensemble with gapped k-mers"]()
    for network in model.networks[1:]:
        network.load_state_dict(model.networks[0].state_dict())  # the score of an ensemble is no sum of its members'
    for network in model.networks:
        for name, parameter in network.named_parameters():
            if "gapped" not in name:
                nn.init.zeros_(parameter)
    given = records(unknown=1)
    gradients = IntegratedGradients(model, count=2).explain(given)
    for one, other in zip(gradients, Explainer(model, Settings()).explain(given), strict=True):
        assert one.effects is not None
        assert other.effects is not None
        assert other.effects.any()
        np.testing.assert_allclose(one.effects, other.effects, atol=1e-3)


def test_deletion_is_brute_force() -> None:
    model, record = explained(), records()[1]
    method = Deletion(model, width=6, fill="unknown")
    (one,) = method.explain([record])
    predictor = predictor_of(model)
    own = odds(predictor, [record.codes])[0, 1]
    lost, covered = np.zeros(41), np.zeros(41)
    starts = [*range(0, 35, 1), 35]
    assert method.starts(41).tolist() == starts
    for start in starts:
        codes = record.codes.copy()
        codes[start : start + 6] = 4
        lost[start : start + 6] += own - odds(predictor, [codes])[0, 1]
        covered[start : start + 6] += 1
    np.testing.assert_allclose(one.contributions[0], lost / covered, atol=1e-4)
    assert Deletion(model, width=16).starts(41).tolist() == [0, 4, 8, 12, 16, 20, 24, 25]
    assert Deletion(model, width=60).starts(41).tolist() == [0]


def test_a_language_model_tells_the_information_of_each_base() -> None:
    model = explained({"_target_": "gulmfit.models.language_model.LanguageModel"}, classes=())
    given = records(unknown=0)
    kept: Any = model.kept
    scorer = LikelihoodScorer(kept.model, kept.tokenizer, "cpu")
    for record, one in zip(given, Explainer(model, Settings()).explain(given), strict=True):
        versions, places, changed = substitutions(record.codes, 4)
        nats, _ = scorer.score([decode(codes) for codes in [record.codes, *versions]])
        assert one.effects is not None
        np.testing.assert_allclose(one.scores, nats[:1], atol=1e-4)
        np.testing.assert_allclose(one.effects[0, places, changed], nats[1:] - nats[0], atol=2e-4)
        chances = np.exp(one.effects[0])  # of each base, given the rest, over that of the one that is there
        np.testing.assert_allclose(one.contributions[0], np.log2(4 / chances.sum(1)), atol=1e-6)


def test_a_labeller_tells_what_moved_one_label() -> None:
    head = {"_target_": "gulmfit.models.labeller.Labeller", "hidden_size": 4}
    model = explained(head, classes=("a", "b", "c"), position=7)
    given = records((20, 31))
    predictor = predictor_of(model, PositionPredictor)
    for record, one in zip(given, Explainer(model, Settings()).explain(given), strict=True):
        versions, places, changed = substitutions(record.codes, 4)
        found = predictor.predict([decode(codes) for codes in [record.codes, *versions]], raw=True)[:, 7]
        logits = np.log(found / (1 - found))
        assert one.effects is not None
        np.testing.assert_allclose(one.effects[:, places, changed].T, logits[1:] - logits[0], atol=2e-4)
    for one in IntegratedGradients(model, count=2).explain(given):
        assert (one.error <= COMPLETE).all()
    with pytest.raises(SequenceError, match=r"record '5': position=7.*0 to 4"):
        list(Explainer(model, Settings()).explain(records((5,), unknown=0)))


MOTIF = "CACGTGAC"
START, LENGTH = 20, 60


@pytest.fixture(scope="module")
def trained() -> tuple[Explained, list[Record]]:
    """A network that has learned in seconds to tell sequences with a motif from others, and sequences with it."""
    model = explained(arch={**CONV, "width": 9, "filters": 16}, tokenizer={**KMERS, "k": 2, "stride": 1})
    random = np.random.default_rng(0)
    codes = random.integers(0, 4, (600, LENGTH)).astype(np.uint8)
    labels = torch.arange(600) % 2
    for row in codes[1::2]:
        place = int(random.integers(0, LENGTH - len(MOTIF) + 1))
        row[place : place + len(MOTIF)] = encode(MOTIF)
    tokens = torch.from_numpy(np.stack([model.tokenizer.encode(row) for row in codes]).astype(np.int64))
    torch.manual_seed(0)
    network: Any = build_model({**model.kept.spec, "head": {**CLASSIFIER, "bins": 0}})[0].train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(12):
        for rows in torch.randperm(600).split(60):
            logits, penalty = network(tokens[rows], torch.full((len(rows),), tokens.shape[1]))
            optimizer.zero_grad()
            (nn.functional.cross_entropy(logits, labels[rows]) + 0 * penalty).backward()
            optimizer.step()
    spec = {**model.kept.spec, "head": {**CLASSIFIER, "bins": 0}}
    loaded = LoadedModel(spec, network.eval(), model.tokenizer, Path("trained"))
    fresh = random.integers(0, 4, (16, LENGTH)).astype(np.uint8)
    fresh[:, START : START + len(MOTIF)] = encode(MOTIF)
    return Explained(loaded, "trained", device="cpu"), [Record(str(n), row) for n, row in enumerate(fresh)]


@pytest.mark.parametrize("method", ["mutagenesis", "gradients", "deletion"])
def test_a_planted_motif_gets_the_mass(trained: tuple[Explained, list[Record]], method: str) -> None:
    model, given = trained
    planted = np.zeros(LENGTH, bool)
    planted[START : START + len(MOTIF)] = True
    explainer = Explainer(model, Settings(method, width=4))
    found = list(explainer.explain(given))
    areas = [roc_auc_score(planted, one.contributions[0]) for one in found]
    assert np.mean(areas) >= 0.95
    best, *_ = strongest_words(found, 0, model.tokenizer.alphabet)
    assert best.word in {"CACGTG", "ACGTGA", "CGTGAC", "GTCACG", "TCACGT"}
    assert best.share > 0.8
    assert best.chance < 0.2
    shape = profile(found, 0)
    assert shape is not None
    assert START - 4 <= shape.start < shape.end <= START + len(MOTIF) + 4
    sanity = against_random_weights(explainer, found)
    assert abs(sanity.correlation) < 0.4
    random = [roc_auc_score(planted, one.contributions[0]) for one in sanity.attributions]
    assert np.mean(random) < 0.75


def test_profile_and_words_by_hand() -> None:
    alphabet = alphabet_named("dna")
    codes = encode("AAAAACACGTGAAAA")
    found = list(Explainer(explained(), Settings()).explain([Record("r", codes)]))
    gained = np.zeros((1, 15))
    gained[0, 5:11] = 1
    one = found[0]._replace(contributions=gained)
    shape = profile([one, one], 0)
    assert shape is not None
    assert shape.end - shape.start == 3
    words = {word.word: word for word in strongest_words([one], 0, alphabet)}
    assert words["CACGTG"].share == 1
    assert words["CACGTG"].chance == 3 / 8  # of 8 windows of 8 bases, 3 hold it
    assert profile([one, one._replace(contributions=gained[:, :9])], 0) is None
    assert profile([one._replace(contributions=-gained)], 0) is None


class NoModule(nn.Module):
    """An encoder that looks its embedding up without calling it."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.embedding, self.output_size, self.causal = inner.embedding, 8, False

    def forward(self, tokens: Tensor, state: None = None, frozen: int = 0) -> tuple[Tensor, None]:
        return nn.functional.embedding(tokens, self.embedding.weight), None


class NoGradient(NoModule):
    """An encoder that no gradient comes through."""

    def forward(self, tokens: Tensor, state: None = None, frozen: int = 0) -> tuple[Tensor, None]:
        return self.embedding(tokens).detach(), None


@pytest.mark.parametrize("trained", [False, True])
def test_an_encoder_without_gradients_is_refused(trained: bool) -> None:
    model = explained()
    model.networks[0].requires_grad_(trained)
    model.networks[0].encoder = NoGradient(model.encoders[0])  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"NoGradient.*method=mutagenesis"):
        list(Explainer(model, Settings("gradients")).explain(records()))


def test_what_cannot_be_explained_so_is_refused() -> None:
    model = explained()
    model.networks[0].encoder = NoModule(model.encoders[0])  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="method=gradients: NoModule"):
        IntegratedGradients(model).explain(records())
    language = explained({"_target_": "gulmfit.models.language_model.LanguageModel"}, classes=())
    with pytest.raises(ConfigError, match=r"method=gradients.*method=mutagenesis"):
        Explainer(language, Settings("gradients"))
    with pytest.raises(ConfigError, match=r"model=a\.onnx"):
        Explained.load("a.onnx")
    with pytest.raises(ConfigError, match="positive=maybe"):
        explained(positive="maybe")
    with pytest.raises(ConfigError, match="position=3"):
        explained(position=3)
    with pytest.raises(ConfigError, match="position="):
        explained({"_target_": "gulmfit.models.labeller.Labeller"})
    with pytest.raises(SequenceError, match="record 'x'"):
        list(Explainer(explained(), Settings()).explain([Record("x", np.zeros(2, np.uint8))], "f.fa, "))
    for settings in (Settings("magic"), Settings(shuffles=0), Settings("deletion", width=0), Settings(batch_size=0)):
        with pytest.raises(ConfigError):
            Explainer(explained(), settings)
    kept = explained().kept
    with pytest.raises(CheckpointError):
        Explained(LoadedModel(kept.spec, nn.Linear(1, 1), kept.tokenizer, Path("x")), "x")
