"""Python as a way in: train, load, and use a model on whatever holds sequences.

    >>> import gulmfit
    >>> model = gulmfit.load("bacteria")
    >>> model.score(["ATGAAAGCAATTTTCGTACTGAAAGGTTAA"])["length_bp"]
    [30.0]

Everything here ends in the functions of the commands, with their options by keyword. Where a DataFrame of pandas or
polars is given, one comes back; else a `Table`.
"""

import csv
import hashlib
import html
import importlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from gulmfit.errors import ConfigError, DataError

SHOWN_ROWS = 20
TABLES = Path("outputs") / "tables"


class Table(Sequence[dict[str, Any]]):
    """Columns of equal length by name: rows as dictionaries, columns as lists, HTML in a notebook.

    >>> table = Table({"id": ["a", "b"], "site": [0.25, 0.75]})
    >>> table["site"], table[1]
    ([0.25, 0.75], {'id': 'b', 'site': 0.75})

    Args:
        columns: Values by the name of their column.
        page: HTML of a whole page that a notebook shows in its place.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]], page: str = "") -> None:
        self.columns = {name: list(values) for name, values in columns.items()}
        self.page = page

    @classmethod
    def read(cls, path: Path, page: str = "") -> Self:
        """Read a table that a command has written, numbers as such."""
        with path.open(encoding="utf-8", newline="") as handle:
            header, *rows = csv.reader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        cells = list(zip(*rows, strict=True)) if rows else [()] * len(header)
        named = zip(header, cells, strict=True)
        return cls({name: values if name == "id" else _numbers(values) for name, values in named}, page)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.columns[key]
        if isinstance(key, slice):
            return Table({name: values[key] for name, values in self.columns.items()})
        return {name: values[key] for name, values in self.columns.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        names = list(self.columns)
        return (dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True))

    def __repr__(self) -> str:
        from gulmfit.report.table import format_table

        more = f"\n({len(self)} rows)" if len(self) > SHOWN_ROWS else ""
        return format_table(self[:SHOWN_ROWS], list(self.columns)) + more

    def _repr_html_(self) -> str:
        from gulmfit.report.table import format_value

        if self.page:
            return framed(self.page)
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        rows = (
            "".join(f"<td>{html.escape(format_value(value))}</td>" for value in row.values())
            for row in self[:SHOWN_ROWS]
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        more = f"<p>{len(self)} rows</p>" if len(self) > SHOWN_ROWS else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"

    def to(self, library: str) -> Any:
        """Return a DataFrame of `pandas` or `polars`.

        Raises:
            DataError: If it is not installed.
        """
        try:
            return importlib.import_module(library).DataFrame(self.columns)
        except ImportError as error:
            raise DataError(f"{library} is not installed: pip install {library}.") from error


class Model:
    """A model that is ready to use: `gulmfit.load` makes one.

    Args:
        path: Run folder, model folder or checkpoint, or the name of a model that ships.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._predictor: Any = None

    @classmethod
    def load(cls, model: "str | Path | TrainedRun") -> Self:
        """Find a model, and make sure that it is there.

        >>> load("bacteria")
        gulmfit.load('bacteria')

        Args:
            model: Run folder (outputs/classify/mine), model folder or checkpoint, the name of a model that ships, or
                what `gulmfit.train` gave.

        Raises:
            CheckpointError: If there is no model.
        """
        from gulmfit.checkpoint import load_tokenizer

        path = model.folder if isinstance(model, TrainedRun) else model
        load_tokenizer(path)
        return cls(path)

    def __repr__(self) -> str:
        return f"gulmfit.load({self.path!r})"

    @property
    def classes(self) -> list[str]:
        """Names of what a classifier predicts, in order."""
        return list(self._loaded().classes)

    def predict(self, data: Any, *, sequence: str = "sequence", id: str = "", **options: Any) -> Any:
        """Predict sequences as `gulmfit-predict` does: the probability of each class, calibrated, or values.

        >>> classifier = gulmfit.load(MODEL)
        >>> found = classifier.predict(["ACGTACGTAC" * 4, "TTTTTACGTA" * 4])
        >>> found["id"], list(found.columns) == ["id", *classifier.classes]
        (['1', '2'], True)

        Args:
            data: A sequence, several, a DataFrame, or a path of what the command reads.
            sequence: Column of the sequences in a table.
            id: Column of the ids in a table; the number of the record by default.
            options: Others of the command, such as `strand="average"`; for a path also `genome=` or `window_bp=`.

        Returns:
            A row for each sequence: its id and its scores.

        Raises:
            GulmfitError: As the command.
        """
        in_memory = {"strand", "batch_size"}
        if isinstance(data, Path) or _is_path(data) or set(options) - in_memory or options.get("strand") == "both":
            return self._through("gulmfit.commands.predict:predict_file", data, sequence, id, options)
        ids, texts = _records(data, sequence, id)
        predictor = self._loaded()
        if len(scores := predictor.predict(texts, **options)) and scores.ndim > 2:  # a labeller's, letter by letter
            return self._through("gulmfit.commands.predict:predict_file", data, sequence, id, options)
        columns = {name: scores[:, column].tolist() for column, name in enumerate(predictor.classes)}
        return _as_given(Table({"id": ids, **columns}), data)

    def score(self, data: Any, *, sequence: str = "sequence", id: str = "", **options: Any) -> Any:
        """Score sequences under a language model as `gulmfit-score` does: bits per base of each.

        >>> load("bacteria").score("ATGAAAGCAATTTTCGTACTG")["bits_per_base"][0] > 0
        True

        Args:
            data, sequence, id, options: As of `predict`.
        """
        return self._through("gulmfit.commands.score:score_file", data, sequence, id, options)

    def embed(self, data: Any, *, sequence: str = "sequence", id: str = "", **options: Any) -> Any:
        """Return the vectors of sequences as `gulmfit-embed` writes them: arrays by name, `vectors` (N, D) and `ids`.

        >>> found = load("bacteria").embed(["ATGAAAGCAATTTTCG", "GGCGCTACCA"], pooling="mean")
        >>> found["vectors"].shape[0], found["ids"].tolist()
        (2, ['1', '2'])

        Args:
            data, sequence, id, options: As of `predict`; `level="base"` gives a vector for each base.
        """
        import numpy as np

        def arrays(folder: Path) -> dict[str, Any]:
            with np.load(folder / "out.npz", allow_pickle=False) as found:
                return dict(found)

        return self._run("gulmfit.commands.embed:embed_file", data, sequence, id, options, arrays, "out.npz")

    def explain(self, data: Any, *, sequence: str = "sequence", id: str = "", **options: Any) -> Any:
        """Explain sequences as `gulmfit-explain` does: a row for each base; a notebook shows the page.

        >>> found = gulmfit.load(MODEL).explain(["ACGTTGCAAC"], sanity=False)
        >>> len(found), "<html" in found.page
        (10, True)

        Args:
            data, sequence, id, options: As of `predict`, with those of the command.
        """

        def page(folder: Path) -> Any:
            return _as_given(Table.read(folder / "out.tsv", (folder / "out.html").read_text(encoding="utf-8")), data)

        return self._run(
            "gulmfit.commands.explain:explain_file", data, sequence, id, options, page, "out.tsv", "out.html"
        )

    def motifs(self, data: Any, *, sequence: str = "sequence", id: str = "", **options: Any) -> Any:
        """Find the motifs that the model looks at as `gulmfit-motifs` does: a row for each; a notebook shows the page.

        Args:
            data: 40 or more sequences that have what is looked for, as of `predict`.
            sequence, id, options: As of `predict`, with those of the command, such as `database="jaspar.meme"`.
        """

        def found(folder: Path) -> Any:
            page = (folder / "motifs" / "motifs.html").read_text(encoding="utf-8")
            return _as_given(Table.read(folder / "motifs" / "motifs.tsv", page), data)

        return self._run("gulmfit.commands.motifs:find_motifs_of", data, sequence, id, options, found, "motifs")

    def annotate(self, genome: str | Path, **options: Any) -> Table:
        """Find the genes of a genome as `gulmfit-annotate` does: a row for each line of its GFF3.

        Args:
            genome: FASTA.
            options: Of the command.
        """

        def lines(folder: Path) -> Table:
            text = (folder / "out.gff3").read_text(encoding="utf-8")
            rows = [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
            names = ("contig", "source", "type", "start", "end", "score", "strand", "phase", "attributes")
            cells = zip(*rows, strict=True) if rows else [()] * len(names)
            return Table({name: _numbers(column) for name, column in zip(names, cells, strict=True)})

        found = self._run("gulmfit.commands.annotate:annotate_file", genome, "", "", options, lines, "out.gff3")
        return found  # type: ignore[no-any-return]

    def _loaded(self) -> Any:
        if self._predictor is None:
            from gulmfit.predict.predictor import Predictor

            self._predictor = Predictor.load(self.path, positions=True)
        return self._predictor

    def _through(self, target: str, data: Any, sequence: str, id: str, options: Mapping[str, Any]) -> Any:
        def table(folder: Path) -> Any:
            return _as_given(Table.read(folder / "out.tsv"), data)

        return self._run(target, data, sequence, id, options, table, "out.tsv")

    def _run(
        self, target: str, data: Any, sequence: str, id: str, options: Mapping[str, Any], read: Any, *files: str
    ) -> Any:
        """Let a command work from files to files, and read what it wrote."""
        from gulmfit.moved import named

        if unknown := {"model", "input", "output"} & set(options):
            raise ConfigError(
                f"{', '.join(sorted(unknown))}: the model and the data are given, and a table comes back."
            )
        with tempfile.TemporaryDirectory(prefix="gulmfit-") as place:
            folder = Path(place)
            path = data
            if not isinstance(data, Path) and not _is_path(data):
                records = _records(data, sequence, id)
                path, sequence, id = folder / "in.tsv", "sequence", "id"
                _write(path, *records)
            columns = {"sequence": sequence, "id": id} if sequence else {}
            if options.get("genome") or options.get("window_bp"):
                columns = {}
            output = ",".join(str(folder / name) for name in files)
            named(target.replace(":", "."))(model=self.path, input=str(path), output=output, **columns, **options)
            return read(folder)


load = Model.load


class TrainedRun:
    """A finished run, as `gulmfit.train` gives it.

    Attributes:
        folder: Its run folder.
        results: All of them, as in `metrics.json`.
    """

    def __init__(self, folder: Path, results: Mapping[str, Any]) -> None:
        self.folder, self.results = folder, dict(results)

    @property
    def metrics(self) -> dict[str, float]:
        """Scores by name, such as `test/accuracy`."""
        return dict(self.results.get("metrics", {}))

    @property
    def report(self) -> Path:
        """The page with tables and figures."""
        return self.folder / "report.html"

    def load(self) -> Model:
        """Return the model."""
        return Model.load(self)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name} {value:.3f}" for name, value in list(self.metrics.items())[:3])
        return f"<run {self.folder}: {shown}>"

    def _repr_html_(self) -> str:
        return framed(self.report.read_text(encoding="utf-8"))


def run_training(*words: Any, data: Any = None, **keys: Any) -> TrainedRun:
    """Train as `gulmfit-train` does; `gulmfit.train(...)` is this.

    Args:
        words: `key=value` words of the command line, one by one or in a list.
        data: A path, which becomes `data.path=`, or a DataFrame with columns `sequence` and `label`, which is kept in
            outputs/tables.
        keys: More keys: `epochs=3`, `stage="classify"`; those with a dot by `**{"run.name": "mine"}`.

    Raises:
        GulmfitError: As the command.
    """
    from gulmfit.overrides import as_word
    from gulmfit.train.runner import train

    given = [one for word in words for one in ([word] if isinstance(word, str) else word)]
    if data is not None:
        given.append(as_word("data.path", str(data if isinstance(data, str | Path) else _kept(data))))
    results = train([*given, *(as_word(key, value) for key, value in keys.items())])
    return TrainedRun(Path(results["folder"]), results)


def framed(page: str) -> str:
    """Return a whole page as a part of another, which its style and script leave alone."""
    return f'<iframe srcdoc="{html.escape(page, quote=True)}" style="width:100%;height:40rem;border:0"></iframe>'


def _kept(frame: Any) -> Path:
    """Write a DataFrame into a file of its content: a run must be able to read its data again."""
    header = [str(name) for name in frame.columns]
    columns = [[str(value) for value in frame[name]] for name in frame.columns]
    if bad := next((value for column in columns for value in column if set(value) & set("\t\r\n")), None):
        raise DataError(f"{bad[:40]!r} holds a tab or the end of a line, which a table of text cannot have.")
    text = "".join("\t".join(row) + "\n" for row in [header, *zip(*columns, strict=True)])
    path = TABLES / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _is_path(data: Any) -> bool:
    """Whether a text names a file: sequences are letters alone."""
    return isinstance(data, str) and not data.replace("*", "").isalpha()


def _records(data: Any, sequence: str, id: str) -> tuple[list[str], list[str]]:
    """Return ids and letters of a sequence, of several, or of a table."""
    if isinstance(data, str):
        data = [data]
    if hasattr(data, "columns"):
        names = list(data.columns)
        if missing := [name for name in (sequence, id) if name and name not in names]:
            raise DataError(f"there is no column {missing[0]!r}; known are {', '.join(map(repr, names))}.")
        texts = [str(value) for value in data[sequence]]
        return [str(value) for value in data[id]] if id else _numbered(texts), texts
    texts = [str(value) for value in data]
    return _numbered(texts), texts


def _numbered(texts: Sequence[str]) -> list[str]:
    return [str(number) for number in range(1, len(texts) + 1)]


def _write(path: Path, ids: Sequence[str], texts: Sequence[str]) -> None:
    lines = ["id\tsequence", *("\t".join(pair) for pair in zip(ids, texts, strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _as_given(table: Table, data: Any) -> Any:
    """Return a table as a DataFrame where one was given."""
    library = type(data).__module__.partition(".")[0]
    return table.to(library) if library in ("pandas", "polars") else table


def _numbers(values: Sequence[str]) -> list[Any]:
    """Return a column as numbers if it holds nothing else; an empty cell is None."""
    try:
        return [float(value) if value else None for value in values]
    except ValueError:
        return list(values)
