"""One class a position in each of several tracks, on both strands; bootstraps over whole sequences.

Shapes: `N` sequences, `K` tracks, `L` positions, `C` classes of all tracks; an axis of 2 is the strand, "+" and "-".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from gulmfit.evaluate.baselines.position_lookups import run_position_baselines
from gulmfit.evaluate.borders import border_scores
from gulmfit.evaluate.calibration import TINY, Calibration, fit_calibration
from gulmfit.evaluate.position_scores import confusions, scores_by_class, weighted_position_scores
from gulmfit.evaluate.uncertainty import Weighted
from gulmfit.label_tracks import track_slices
from gulmfit.report import figures
from gulmfit.report.html import Section
from gulmfit.report.kinds.kind import Floats, Ints, Judged, Labelled, Models, Results
from gulmfit.report.kinds.paired import Bootstrapped, by_target
from gulmfit.report.kinds.positions import borders_section, classes_section
from gulmfit.report.target_figures import strip
from gulmfit.report.wording import finite
from gulmfit.seq.alphabet import reverse_complement_text
from gulmfit.seq.labels.position_labels import END
from gulmfit.seq.labels.track_labels import TRACKS, Tracks

_SHOWN = 4000  # positions of a sequence that are drawn
_GENE_SCORES = {
    "CDS/f1": "base F1, CDS",
    "phase/accuracy": "phase",
    "three_prime/sensitivity": "3' sensitivity",
    "three_prime/precision": "3' precision",
    "exact/sensitivity": "exact sensitivity",
    "exact/precision": "exact precision",
    "exon/sensitivity": "exon sensitivity",
    "exon/precision": "exon precision",
    "exact_intron/sensitivity": "intron sensitivity",
    "exact_intron/precision": "intron precision",
}
_MEASURED = {"gene": "Coding bases of genes", "exon": "Coding exons", "intron": "Introns between coding exons"}
_BASELINES = ("majority", "window_lookup", "window_logistic")


@dataclass(frozen=True)
class TrackCalibration(Calibration):
    """A temperature for each track.

    Args:
        sizes: Classes of each track.
        temperatures: What its logits are divided by.
    """

    targets: ClassVar[str | None] = TRACKS
    sizes: tuple[int, ...] = ()
    temperatures: tuple[float, ...] = ()

    def calibrated(self, raw: Floats) -> Floats:
        parts = np.split(raw, np.cumsum(self.sizes)[:-1], axis=-1) if self.sizes else []
        cooled = [
            Calibration(self.kind, temperature).calibrated(part.reshape(-1, part.shape[-1])).reshape(part.shape)
            for part, temperature in zip(parts, self.temperatures, strict=True)
        ]
        return np.concatenate(cooled, axis=-1) if cooled else raw

    def to_dict(self) -> dict[str, Any]:
        return {
            "targets": self.targets,
            "kind": self.kind,
            "sizes": list(self.sizes),
            "temperatures": list(self.temperatures),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TrackCalibration":
        own = {name: tuple(content.get(name, ())) for name in ("sizes", "temperatures")}
        return super().from_dict({"kind": content.get("kind"), **own})


class TrackLabels(Bootstrapped):
    """Several classes a position on both strands; arguments as of `Kind`.

    Labels are (N, 2, K, L), predictions (N, 2, L, C). Scores are those of the first track, each class of every track
    has its own.
    """

    labels = Tracks()
    calibration = TrackCalibration
    stage: ClassVar[str] = "label"
    model: ClassVar[str] = "Labeller"
    watched: ClassVar = {"tracks": ("gulmfit.train.loop.metrics.TrackScore", {})}
    headline: ClassVar[str] = "f1_macro"
    second: ClassVar[str] = "accuracy"
    summary: ClassVar[tuple[str, ...]] = ("f1_macro", "accuracy", "log_loss")
    columns: ClassVar[tuple[str, ...]] = summary
    calibrated_loss: ClassVar[bool] = False  # so many labels are seldom over-fitted
    predictions_kept: ClassVar[bool] = False  # of a genome they take gigabytes, and gulmfit-annotate writes them
    beyond: ClassVar[str] = "gulmfit.predict.genes.judging.judge_genes"

    def __init__(self, classes: list[str], positive: str = "") -> None:
        super().__init__(classes, positive)
        self.tracks = track_slices(classes)

    def of_track(self, truth: Any, predicted: Floats, number: int) -> tuple[Any, Floats]:
        """Return labels (N, 2 L) and probabilities (N, 2 L, c) of a track, strand after strand."""
        own = list(self.tracks.values())[number]
        labels, count = truth[:, :, number].astype(np.int16), len(truth)
        labels = np.where(labels >= 0, labels - own.start, labels).reshape(count, -1)
        chosen = predicted[:, :, : truth.shape[-1], own]
        return labels, chosen.reshape(count, labels.shape[1], -1)

    def scores(self, truth: Any, predicted: Floats) -> dict[str, float]:
        once = np.ones((1, len(truth)))
        return {name: float(value[0]) for name, value in self.weighted(truth, predicted)(once).items()}

    def weighted(self, truth: Any, predicted: Floats) -> Weighted:
        return weighted_position_scores(*self.of_track(truth, predicted, 0))

    def scorable(self, truth: Any) -> bool:
        return bool((truth[:, :, 0] >= 0).any())

    def fit_calibration(self, raw: Floats, truth: Any, how: str) -> Calibration:
        found = []
        for number in range(len(self.tracks)):
            labels, predicted = self.of_track(truth, raw, number)
            known = labels >= 0
            logs = np.log(np.maximum(predicted[known], TINY))
            found.append(fit_calibration(logs, labels[known].astype(np.int64), how))
        sizes = tuple(own.stop - own.start for own in self.tracks.values())
        return TrackCalibration(found[0].kind, sizes=sizes, temperatures=tuple(one.temperature for one in found))

    def baselines(
        self, train: Labelled, valid: Labelled, test: Labelled, *, seed: int, cache_dir: Path | None
    ) -> dict[str, Judged]:
        """Fit what knows a base and its neighbours, as on sequences of one strand."""
        width, count = test.labels.shape[-1], len(test)
        found = {name: np.zeros((count, 2, width, len(self.classes)), np.float32) for name in _BASELINES}
        ends = (test.labels[:, 0, 0] != END).sum(axis=1)
        texts = [*test.sequences, *map(reverse_complement_text, test.sequences)]
        for number, own in enumerate(self.tracks.values()):
            parts = [_one_strand(part, number, own.start) for part in (train, valid)]
            size = own.stop - own.start
            predicted = run_position_baselines(
                parts[0], parts[1], texts, size, width=width, seed=seed, alphabet=train.alphabet
            )
            for name, values in found.items():
                values[:, 0, :, own] = predicted[name][:count]
                for row, end in enumerate(ends.tolist()):
                    values[row, 1, :end, own] = predicted[name][count + row, :end][::-1]
        return {name: (cast("Floats", values), self) for name, values in found.items()}

    def details(
        self, truth: Any, raw: Floats, judged: Models, calibration: Calibration, groups: Ints, seed: int
    ) -> dict[str, Any]:
        """Return the scores near borders of the first track, by track confusion counts and scores of each class, and
        what calibration did."""
        model, numbers = judged["model"][0], range(len(self.tracks))
        pairs = {"before": raw, "after": model}
        test = {name: {"log_loss": self.scores(truth, item)["log_loss"]} for name, item in pairs.items()}
        by_class: dict[str, Any] = {}
        for number, own in enumerate(self.tracks.values()):
            scored = {name: scores_by_class(*self.of_track(truth, item, number)) for name, (item, _) in judged.items()}
            by_class |= by_target(scored, self.classes[own], groups, seed)
        return {
            "borders": self._borders(truth, judged, groups, seed),
            "confusion": {
                name: confusions(*self.of_track(truth, model, number)).sum(axis=0).astype(int).tolist()
                for number, name in zip(numbers, self.tracks, strict=True)
            },
            "calibration": {**calibration.to_dict(), "test": test},
            "by_target": by_class,
        }

    def _borders(self, truth: Any, judged: Models, groups: Ints, seed: int) -> dict[str, Any]:
        """Score the first track near borders and elsewhere, each strand as a sequence of its own."""
        width, own = truth.shape[-1], next(iter(self.tracks.values()))
        strands = {name: self.of_track(truth, item, 0) for name, (item, _) in judged.items()}
        return border_scores(
            strands["model"][0].reshape(-1, width),
            {name: item.reshape(-1, width, item.shape[-1]) for name, (_, item) in strands.items()},
            self.classes[own],
            np.repeat(groups, 2),
            seed,
        )

    def sections(self, results: Results) -> list[Section]:
        return [
            *_gene_sections(results),
            classes_section(results),
            borders_section(results),
            _confusion_section(results),
            self._strips_section(results),
        ]

    def _strips_section(self, results: Results) -> Section:
        """Draw both strands of the sequences of highest, middle and lowest accuracy, or their first positions."""
        section, predictions = Section("Along a sequence"), results.get("predictions")
        if predictions is None:
            return section
        labels, predicted = self.of_track(predictions.labels, predictions.by_model["model"], 0)
        counts = confusions(labels, predicted)
        total = counts.sum(axis=(1, 2))
        right = np.trace(counts, axis1=1, axis2=2) / np.maximum(total, 1)
        order = np.argsort(-right, kind="stable")
        order = order[total[order] > 0]
        width, names = predictions.labels.shape[-1], self.classes[next(iter(self.tracks.values()))]
        for name, at in (("best", 0), ("median", len(order) // 2), ("worst", -1)) if len(order) else ():
            row = order[at]
            length = min(_SHOWN, int((predictions.labels[row, 0, 0] != END).sum()))
            for strand in (0, 1):
                here = slice(strand * width, strand * width + length)
                picture = strip(labels[row, here], predicted[row, here], names)
                caption = (
                    f"The {name} test sequence, {predictions.ids[row]}, strand {'+-'[strand]}: {right[row]:.3f} of its "
                    "bases are right."
                )
                section.figures.append((caption, picture))
        return section


def _one_strand(data: Labelled, number: int, first: int) -> tuple[list[str], Any]:
    """Return the sequences of both strands, each read in its direction, and their labels of a track (2 N, L)."""
    turned = np.stack([data.kind.turned(label) for label in data.labels])
    labels = np.concatenate([data.labels[:, 0, number], turned[:, 0, number]]).astype(np.int16)
    texts = [*data.sequences, *map(reverse_complement_text, data.sequences)]
    return texts, np.where(labels >= 0, labels - first, labels)


def _gene_sections(results: Results) -> list[Section]:
    found: Mapping[str, Results] = (results.get("genes") or {}).get("methods") or {}
    if not found:
        return []
    genes = results["genes"]
    shown = [name for name in _GENE_SCORES if any(finite(scores.get(name)) is not None for scores in found.values())]
    rows: list[list[object]] = []
    for name, scores in found.items():
        bounds = scores.get("ci95") or {}
        rows.append([name, *((scores.get(item), *(bounds.get(item) or (None, None))) for item in shown)])
    text = [
        f"{genes['true']} genes lie wholly in the test part. Masked bases count for nothing, and a predicted gene is "
        "left out if half of it is masked and no true gene ends where it does. Weights of decoders were chosen on the "
        "validation part.",
        f"The model folder keeps: {genes['kept']}.",
    ]
    table = (["", *(_GENE_SCORES[name] for name in shown)], rows)
    return [Section("Genes", text, [table]), _lengths_section(genes.get("lengths") or {})]


def _lengths_section(found: Mapping[str, Results]) -> Section:
    """Draw how long true and predicted genes, exons and introns are."""
    section, rows = Section("How long genes are"), list[list[object]]()
    for kind, own in found.items():
        curves = {}
        for side in ("true", "predicted"):
            counts = np.asarray(own[side], np.float64)
            rows.append([f"{kind}, {side}", int(counts.sum()), own["median"][side], own["distance"]])
            there = np.flatnonzero(np.add(own["true"], own["predicted"]))
            here = slice(max(0, there[0] - 1), there[-1] + 2) if len(there) and counts.any() else slice(0, 0)
            curves[side] = (own["edges"][here], (counts / max(1, counts.sum()))[here])
        picture = figures.line_plot(curves, marker=".", height=3.2, xscale="log", xlabel="bases", ylabel="share")
        section.figures.append((f"{_MEASURED[kind]}: shares of lengths, ten bins in a power of ten.", picture))
    if rows:
        section.tables.append((["", "number", "median (bases)", "Kolmogorov-Smirnov distance"], rows))
    return section


def _confusion_section(results: Results) -> Section:
    section, matrices = Section("Confusion"), results.get("confusion") or {}
    names = [str(name) for name in results.get("classes") or ()]
    for track, own in (track_slices(names) if matrices else {}).items():
        classes: Sequence[str] = [name.partition(":")[2] for name in names[own]]
        picture = figures.confusion_matrix(matrices[track], classes)
        section.figures.append((f"Bases of both strands by true and predicted {track}.", picture))
    return section
