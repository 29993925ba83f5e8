"""The documents: links lead somewhere, the English is plain, and numbers agree with code and configuration."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache, reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
FORBIDDEN = re.compile(
    r"\b(is no (?!longer\b)|are no (?!longer\b)|anew\b|passed over\b|beside\b|parted by\b|told by (its|the) name)",
    re.IGNORECASE,
)
LINK = re.compile(r"\]\(([^()\s]+)\)")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page with their numbers, without code blocks and code spans; a span may cross a line end."""
    kept, fenced, previous = [], False, ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            line = ""
        # An indented block follows an empty line; other indented lines continue an item of a list.
        block = line.startswith("    ") and (not previous.strip() or previous == "code")
        previous = "code" if block else line
        kept.append("" if fenced or block else line)
    bare = re.sub(r"(`+)(?:(?!\n\n).)+?\1", lambda span: re.sub(r"[^\n]+", "``", span[0]), "\n".join(kept), flags=re.S)
    yield from enumerate(bare.split("\n"), start=1)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    seen: dict[str, int] = {}
    found = set()
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        fenced ^= line.lstrip().startswith("```")
        if not fenced and (heading := re.match(r"#{1,6} +(.+?) *#*$", line)):
            text = LINK.sub("]", heading[1]).lower()
            name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            number = seen.get(name, 0)
            seen[name] = number + 1
            found.add(f"{name}-{number}" if number else name)
    return frozenset(found)


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A run folder: `outputs/<stage>/`\n## On a GPU\n```\n# not one\n```\n## On a GPU\n### `x=1`, y_z\n"
    )
    assert anchors(page) == {"a-run-folder-outputsstage", "on-a-gpu", "on-a-gpu-1", "x1-y_z"}


def test_prose_leaves_code_out() -> None:
    text = "a `b beside` c\n\n    beside\n    beside\n\n- d\n    beside\n```\nbeside\n```\n`e\nbeside` f beside"
    assert [number for number, line in prose(text) if "beside" in line] == [7, 12]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for number, line in prose(page.read_text(encoding="utf-8")):
        for link in LINK.findall(line):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (anchor and (target.suffix != ".md" or anchor not in anchors(target))):
                wrong.append(f"{page.name}:{number}: {link}")
    assert not wrong


def test_the_index_lists_every_page() -> None:
    docs = ROOT / "docs"
    listed = set(LINK.findall((docs / "index.md").read_text(encoding="utf-8")))
    pages = [*DOCS, *docs.rglob("*.ipynb")]
    assert {page.relative_to(docs).as_posix() for page in pages} - {"index.md"} <= listed


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_english_is_plain(page: Path) -> None:
    found = [
        f"{page.name}:{number}: {match[0]!r} in {line.strip()!r}"
        for number, line in prose(page.read_text(encoding="utf-8"))
        for match in FORBIDDEN.finditer(line)
    ]
    assert not found, "CONTRIBUTING.md, Glossary, has the words to use"


def test_english_of_the_code_is_plain() -> None:
    """Something is not a gene; that there is no gene can be said."""
    forbidden = re.compile(
        r"(?<!there )\b(is|are|was|were) no (?!longer|better|worse|more|surer|less|such)[a-z{]|passed over", re.I
    )
    found = []
    for source in sorted((ROOT / "gulmfit").rglob("*.py")):
        # A text goes on in the next line, and a message in the next string.
        text = re.sub(r"[\"']?\s*\n\s*(f?[\"']|#)?| +", " ", source.read_text(encoding="utf-8"))
        found += [f"{source.name}: {text[max(0, at.start() - 40) : at.end() + 20]}" for at in forbidden.finditer(text)]
    assert not found, "CONTRIBUTING.md, Glossary, has the words to use"


def glossary() -> list[list[str]]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("\n## Glossary\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_the_glossary_is_in_order() -> None:
    rows = glossary()
    terms = [term.lower() for term, _, _ in rows]
    assert len(set(terms)) == len(terms) >= 50
    assert terms == sorted(terms, key=lambda term: re.sub(r"[^a-z]", "", term.partition("(")[0]))
    assert all(meaning for _, meaning, _ in rows)


def configured(path: str) -> Callable[[], Any]:
    """Return what reads a value of a YAML file: `train.yaml:holdout.fraction`."""
    file, _, keys = path.partition(":")

    def read() -> Any:
        values = yaml.safe_load((ROOT / "conf" / file).read_text(encoding="utf-8"))
        return reduce(lambda found, key: found[key], keys.split("."), values)

    return read


@cache
def assigned() -> list[tuple[str, str, ast.expr]]:
    """Return what the modules of the package assign: name of the module, name of the variable, value."""
    return [
        (path.stem, target.id, node.value)
        for path in sorted((ROOT / "gulmfit").rglob("*.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]


def constant(name: str, module: str = "") -> Any:
    """Return a module-level constant of the package, wherever it is; `module` is needed where several have it."""
    found = [value for stem, known, value in assigned() if known == name and module in ("", stem)]
    assert len(found) == 1, f"{name} is defined in {len(found)} modules"
    return ast.literal_eval(found[0])


# Page, its sentence or row with the number as a group (a space also matches a line end), where the number comes from.
NUMBERS: list[tuple[str, str, Callable[[], Any]]] = [
    ("workflow.md", r"`leakage_threshold=([\d.]+)`", configured("train.yaml:leakage_threshold")),
    ("workflow.md", r"\| `tokenizer\.k`, `tokenizer\.stride` \| (\d+), ", configured("tokenizer/kmer.yaml:k")),
    ("workflow.md", r"\| `tokenizer\.k`, `tokenizer\.stride` \| \d+, (\d+)", configured("tokenizer/kmer.yaml:stride")),
    ("workflow.md", r"\| `pretrain\.epochs`, `pretrain\.lr` \| (\d+),", configured("train.yaml:pretrain.epochs")),
    ("workflow.md", r"\| `pretrain\.epochs`, `pretrain\.lr` \| \d+, (\S+)", configured("train.yaml:pretrain.lr")),
    ("workflow.md", r"`pretrain\.drop_mult` \| (\d+),", configured("train.yaml:pretrain.batch_size")),
    ("workflow.md", r"`pretrain\.drop_mult` \| \d+, ([\d.]+)", configured("train.yaml:pretrain.drop_mult")),
    ("workflow.md", r"\| `bptt` \| (\d+)", configured("train.yaml:bptt")),
    ("workflow.md", r"`\.margin_bp` \| ([\d.]+),", configured("train.yaml:holdout.fraction")),
    ("workflow.md", r"`\.margin_bp` \| [\d.]+, (\d+),", configured("train.yaml:holdout.block_bp")),
    ("workflow.md", r"`\.margin_bp` \| [\d.]+, \d+, (\d+)", configured("train.yaml:holdout.margin_bp")),
    ("method.md", r"`classify\.decay` \(([\d.]+)\)", configured("train.yaml:classify.decay")),
    ("method.md", r"`finetune\.decay` ([\d.]+) ", configured("train.yaml:finetune.decay")),
    ("method.md", r"`classify\.scratch\.lr`, ([\de-]+)\)", configured("train.yaml:classify.scratch.lr")),
    ("method.md", r"`classify\.scratch\.drop_mult` \(([\d.]+)\)", configured("train.yaml:classify.scratch.drop_mult")),
    ("method.md", r"`head\.hidden_p`, ([\d.]+)\)", configured("head/classifier.yaml:hidden_p")),
    ("method.md", r"`head\.alpha`, (\d+)\)", configured("train.yaml:classify.alpha")),
    ("method.md", r"`head\.beta`, (\d+)\)", configured("train.yaml:classify.beta")),
    ("method.md", r"linear to (\d+), ReLU", configured("head/classifier.yaml:hidden_size")),
    ("method.md", r"`optimizer\.weight_decay`, ([\de-]+),", configured("optimizer/adamw.yaml:weight_decay")),
    ("method.md", r"at ([\d.]+) for language models", configured("stage/pretrain.yaml:trainer.gradient_clip_val")),
    ("method.md", r"at ([\d.]+) for classifiers", configured("stage/classify.yaml:trainer.gradient_clip_val")),
    ("troubleshooting.md", r"\(([\d.]+) by default for", configured("stage/finetune.yaml:trainer.gradient_clip_val")),
    ("troubleshooting.md", r"models, ([\d.]+) for", configured("stage/classify.yaml:trainer.gradient_clip_val")),
    *(
        ("method.md", rf"`dropout\.{rate}` \|[^|]*\|{between} ([\d.]+) \|", configured(f"dropout/{name}.yaml:{rate}"))
        for rate in ("embed_p", "input_p", "weight_p", "hidden_p", "output_p")
        for name, between in (("language_model", ""), ("classifier", r"[^|]*\|"))
    ),
    ("method.md", r"E (\d+), H", configured("arch/awd_lstm.yaml:embed_size")),
    ("method.md", r"H (\d+) \(published", configured("arch/awd_lstm.yaml:hidden_size")),
    ("method.md", r"`awd_lstm_small` has (\d+),", configured("arch/awd_lstm_small.yaml:embed_size")),
    ("method.md", r"differ by more than (\d+) %", lambda: constant("TOLERANCE", "precision") * 100),
    ("performance.md", r"gradient differs by more than (\d+) %", lambda: constant("TOLERANCE", "precision") * 100),
    ("performance.md", r"gets (\d+) or 16 idle units", lambda: constant("IDLE_UNITS")[1]),
    ("performance.md", r"gets 8 or (\d+) idle units", lambda: constant("IDLE_UNITS")[2]),
    ("method.md", r"up to (\d+) training sequences", lambda: constant("CALIBRATION_SEQUENCES")),
    ("method.md", r"medians of (\d+) steps", lambda: constant("WINDOW", "watch")),
    ("reliability.md", r"most of the last (\d+) losses", lambda: constant("WINDOW", "watch")),
    ("reliability.md", r"`checkpoint\.every_minutes` \((\d+)\)", configured("train.yaml:checkpoint.every_minutes")),
    ("method.md", r"share is below ([\d.]+):", lambda: constant("BY_CHANCE")),
    ("conventions.md", r"\(at most ([\d,]+) sequences of it\)", lambda: constant("MAX_TRAIN")),
    ("conventions.md", r"each of the first (\d+) positions", lambda: constant("MAX_POSITIONS")),
    ("conventions.md", r"from up to (\d+) preceding bases", lambda: constant("MAX_ORDER")),
    ("labels.md", r"`head\.hidden_size=(\d+)`", configured("head/labeller.yaml:hidden_size")),
    ("labels.md", r"`loss\.transition_weight=(\d+)`", configured("loss/positions.yaml:transition_weight")),
    ("labels.md", r"`loss\.transition_bp=(\d+)`", configured("loss/positions.yaml:transition_bp")),
    ("labels.md", r"the (\d+) letters \(\d+ residues\)", lambda: constant("LOOKED_UP")),
    ("labels.md", r"a window of (\d+) \(", lambda: constant("WINDOW", "position_lookups")),
    ("labels.md", r"on (\d+) positions", lambda: constant("MAX_FITTED")),
    ("conventions.md", r"k is 1 to (\d+), the stride", lambda: constant("LARGEST_K")),
    ("conventions.md", r"`split\.test_fraction` are ([\d.]+) each", configured("split/homology.yaml:test_fraction")),
    ("tokens.md", r"ends every (\d+) bases", lambda: constant("CHUNK_BASES", "subword")),
    ("tokens.md", r"\(([\d,]+) for `bpe`", lambda: constant("TRAIN_BASES")["bpe"]),
    ("tokens.md", r"; ([\d,]+) for `unigram`", lambda: constant("TRAIN_BASES")["unigram"]),
    ("tokens.md", r"in stretches of up to (\d+) bases", lambda: constant("SAMPLE_BASES")),
    ("predictions.md", r"one block of ([\d,]+) windows", lambda: constant("WINDOWS_AT_ONCE")),
    ("troubleshooting.md", r"a sequence beyond (\d+) tokens", lambda: constant("EVALUATION_WINDOW")),
    ("exchange.md", r"above ([\de-]+) the file", lambda: constant("TOLERANCE", "to_onnx")),
    ("language-model.md", r"up to ([\d,]+) sequences", lambda: constant("MOST_POINTS")),
    ("language-model.md", r"\(at most a (fifth) of it\)", lambda: constant("MOST_SET_ASIDE")),
    ("variants.md", r"lists the first (\d+) and", lambda: constant("SHOWN", "variant_check")),
]  # fmt: skip
WORDS = {"fifth": 0.2}


@pytest.mark.parametrize(("name", "pattern", "value"), NUMBERS, ids=[f"{page}-{text}" for page, text, _ in NUMBERS])
def test_numbers_are_those_of_the_code(name: str, pattern: str, value: Callable[[], Any]) -> None:
    found = re.findall(pattern.replace(" ", r"\s+"), (ROOT / "docs" / name).read_text(encoding="utf-8"))
    assert found, "the page no longer says this, or words it differently: adapt the pattern or remove the row"
    for text in found:
        number = WORDS[text] if text in WORDS else float(text.replace(",", ""))
        assert number == pytest.approx(float(value()))
