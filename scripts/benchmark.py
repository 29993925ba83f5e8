"""Measure how fast this checkout reads, trains and predicts on this machine, beside its ceiling and beside others.

    python scripts/benchmark.py --json outputs/benchmark.json              every row, one after the other
    python scripts/benchmark.py --json FILE --only train,train_fastai      some of them
    python scripts/benchmark.py --json FILE --device cuda                  those that make sense on a GPU

Each row runs in a process of its own, so that its memory and its threads are its own, and is the median of several
repetitions after a warm-up. With --tiny, which only shows that the rows work, all share one process.

FILE is a list of `{"name", "unit", "value", "fraction_of_ceiling"}`, with the range of the repetitions, ratios to other
rows and a note where there are any. The ceiling is the machine's own rate of multiplying matrices, the row `matmul`. A
row without a value has null for it and says under `skipped` or `failed` why.

Exit codes: 0 all rows were measured or skipped for a reason, 1 a row failed, 2 wrong arguments or no GPU.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark_timing import CannotMeasureError, Setting

from gulmfit.report.table import format_table, format_value

ROOT = Path(__file__).resolve().parents[1]
ROW_SECONDS = 1800  # a row that takes longer has hung
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
MEGABASES_PER_TOKEN = 2e-6  # stride 2
ON_GPU = (
    "matmul", "train", "train_b64", "train_b128", "train_b256", "train_b512", "train_b1024", "train_bare_lstm",
    "train_fastai", "train_trainer", "memory", "predict", "predict_auto", "predict_fastai",
)  # fmt: skip

Result = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One thing to measure.

    Args:
        unit: Of its value.
        measure: `module:function` of a `benchmark_*` module beside this one.
        arguments: Of the function, after the setting.
        beside: Rows to compare it with, each with the factor that turns the other's unit into this one's.
    """

    unit: str
    measure: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, float] = field(default_factory=dict)


def rows(device: str) -> dict[str, Row]:
    """Return the rows of a device, in the order in which they are measured."""
    on_gpu = device == "cuda"
    language_model, trainer = "benchmark_models:language_model", "benchmark_trainer:through_trainer"
    predict, fastai, ddp = "benchmark_models:predict", "benchmark_models:fastai", "benchmark_models:ddp"
    busy = "benchmark_busy:beside_a_neighbour"
    batch_size = 800 if on_gpu else 256
    large = {"arch": "awd_lstm", "batch_size": batch_size}
    small = {"arch": "awd_lstm_small", "batch_size": 64}
    found = {
        "matmul": Row("TFLOP/s", "benchmark_models:matmul"),
        "train": Row("tokens/s", language_model, large, {"train_fastai": 1, "train_bare_lstm": 1, "train_fp32": 1}),
        **{
            f"train_b{size}": Row("tokens/s", language_model, {"arch": "awd_lstm", "batch_size": size})
            for size in (64, 128, 256, 512, 1024)
        },
        "train_fp32": Row("tokens/s", language_model, {**large, "precision": "32-true"}),
        "train_bare_lstm": Row("tokens/s", "benchmark_models:bare_lstm", {"batch_size": batch_size}),
        "train_fastai": Row("tokens/s", fastai, {"what": "train"}),
        "train_trainer": Row("tokens/s", trainer, {**large, "steps": 20 if on_gpu else 2}, {"train": 1}),
        "train_small": Row("tokens/s", language_model, small),
        "train_small_trainer": Row("tokens/s", trainer, {**small, "steps": 10}, {"train_small": 1}),
        "train_busy": Row("tokens/s", busy, large),
        "train_small_busy": Row("tokens/s", busy, small),
        "memory": Row("MiB", "benchmark_models:memory", large),
        "ddp_1": Row("tokens/s", ddp, {"processes": 1}),
        "ddp_2": Row("tokens/s", ddp, {"processes": 2}, {"ddp_1": 1}),
        "classify": Row("sequences/s", "benchmark_models:classify"),
        "predict": Row("sequences/s", predict, {"precision": "32"}, {"predict_fastai": 1}),
        "predict_auto": Row("sequences/s", predict, {"precision": "auto"}, {"predict_fastai": 1, "predict": 1}),
        "predict_fastai": Row("sequences/s", fastai, {"what": "predict"}),
        "store": Row("Mb/s", "benchmark_data:store", beside={"gunzip": 1}),
        "gunzip": Row("Mb/s", "benchmark_data:gunzip"),
        "tokens": Row("Mb/s", "benchmark_data:tokens", beside={"tokens_python": 1, "train": MEGABASES_PER_TOKEN}),
        "tokens_python": Row("Mb/s", "benchmark_data:tokens_in_python"),
        **{
            f"{name}_x{times}": Row(
                unit, f"benchmark_data:{measure}", {"times": times}, {f"{name}_x1": 1} if times > 1 else {}
            )
            for times in (1, 10, 100)
            for name, unit, measure in (
                ("store", "Mb/s", "store_of_chromosomes"),
                ("startup", "s", "startup"),
                ("memory", "MiB", "memory_of_startup"),
            )
        },
    }
    return {name: row for name, row in found.items() if name in ON_GPU or not on_gpu}


def describe_machine(device: str) -> str:
    """Say what is measured on."""
    import torch

    from gulmfit.models.precision import fast_precision

    info = _fields("/proc/cpuinfo")
    memory = int(_fields("/proc/meminfo").get("MemTotal", "0").split()[0]) / (1 << 20)
    sets = [name for name in INSTRUCTION_SETS if name in info.get("flags", "").split()]
    lines = [
        f"cpu: {info.get('model name', 'unknown')}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        f"instruction sets: {' '.join(sets) or 'unknown'}",
        f"memory: {memory:.1f} GiB",
        f"torch: {torch.__version__}, precision {fast_precision(device)}",
    ]
    if device == "cuda":
        lines.insert(0, f"gpu: {torch.cuda.get_device_name()}")
    return "\n".join(lines)


def _fields(path: str) -> dict[str, str]:
    """Read a file of `name: value` lines, the first of each name; empty where there is no such file."""
    found: dict[str, str] = {}
    if Path(path).is_file():
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    return found


def measure(row: Row, setting: Setting) -> Result:
    """Measure a row in this process; an error is told, not raised."""
    module, _, name = row.measure.partition(":")
    try:
        with redirect_stdout(sys.stderr):  # what a row prints is not part of the table
            return dict(vars(getattr(importlib.import_module(module), name)(setting, **row.arguments)))
    except CannotMeasureError as reason:
        return {"skipped": str(reason)}
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}


def measure_apart(name: str, setting: Setting) -> Result:
    """Measure a row in a process of its own, and show what that process said if it failed."""
    answer = setting.folder / f"{name}.json"
    command = [
        sys.executable, __file__, "--row", name, "--json", str(answer), "--device", setting.device,
        "--folder", str(setting.folder), "--fastai-python", str(setting.fastai_python),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=ROW_SECONDS)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {ROW_SECONDS} s"}
    killed = {"failed": f"its process ended with exit code {done.returncode}"}
    result: Result = killed if done.returncode else json.loads(answer.read_text(encoding="utf-8"))
    if "failed" in result:
        sys.stderr.write(done.stderr)
    return result


class Benchmark:
    """The rows asked for, measured in turn.

    Args:
        rows: Every row of the device.
        setting: How to measure.
    """

    def __init__(self, rows: Mapping[str, Row], setting: Setting) -> None:
        self.rows, self.setting = rows, setting
        self.results: dict[str, Result] = {}

    def run(self, name: str) -> Result:
        """Measure a row, unless it or one that is the same has been measured."""
        row = self.rows[name]
        for other, result in self.results.items():
            if (self.rows[other].measure, self.rows[other].arguments) == (row.measure, row.arguments):
                return self.results.setdefault(name, result)
        self.results[name] = measure(row, self.setting) if self.setting.tiny else measure_apart(name, self.setting)
        return self.results[name]

    def record(self, name: str) -> dict[str, Any]:
        """Measure a row; return what the file says of it, but for its ratios."""
        result = self.run(name)
        record: dict[str, Any] = {
            "name": name, "unit": self.rows[name].unit, "value": result.get("value"), "fraction_of_ceiling": None
        }  # fmt: skip
        if record["value"] is None:
            return {**record, **result}
        if result["flop"] and (ceiling := self.run("matmul").get("value")):
            record["fraction_of_ceiling"] = result["flop"] * result["value"] / (ceiling * 1e12)
        note = {"note": result["note"]} if result["note"] else {}
        return {**record, "range": [result["low"], result["high"]], **note}

    def ratios(self, name: str) -> dict[str, float]:
        """Return how many times the value of each row beside it a row has, where both were measured."""
        value = self.results[name].get("value")
        others = {other: self.results.get(other, {}).get("value") for other in self.rows[name].beside}
        factors = self.rows[name].beside
        return {other: value / (found * factors[other]) for other, found in others.items() if value and found}


def trouble(record: Mapping[str, Any]) -> str:
    """Say why a record has no value, if it has none."""
    return "; ".join(f"{word}: {record[word]}" for word in ("skipped", "failed") if word in record)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(records: list[dict[str, Any]]) -> str:
    """Lay the records out for reading."""
    lines = []
    for record in records:
        fraction, ratios = record["fraction_of_ceiling"], record.get("ratios", {})
        lines.append({
            **record,
            "of ceiling": None if fraction is None else f"{fraction:.1%}",
            "ratio": ", ".join(f"{format_value(ratio)} x {other}" for other, ratio in ratios.items()) or None,
            "note": trouble(record) or record.get("note"),
        })  # fmt: skip
    return format_table(lines, ["name", "value", "range", "unit", "of ceiling", "ratio", "note"])


def write_whole(path: Path, content: object) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def arguments() -> argparse.Namespace:
    """Read the command line; exit with 2 where it is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the results go")
    parser.add_argument("--only", metavar="ROW,ROW", help="measure these rows")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tiny", action="store_true", help="shrink everything: does each row work?")
    parser.add_argument("--fastai-python", type=Path, default=ROOT / ".venv-fastai" / "bin" / "python", metavar="PATH")
    parser.add_argument("--row", help=argparse.SUPPRESS)  # measure this one here and now
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.fastai_python = given.fastai_python.absolute()
    known = rows(given.device)
    given.only = given.only.split(",") if given.only else list(known)
    if unknown := [name for name in given.only if name not in known]:
        parser.error(f"no such row on {given.device}: {', '.join(unknown)}. Known are {', '.join(known)}.")
    if given.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            parser.error("torch sees no CUDA device here: leave --device cuda out.")
    return given


def main() -> int:
    """Measure what was asked for; return the exit code."""
    given = arguments()
    known = rows(given.device)
    if given.row:
        setting = Setting(given.device, given.tiny, given.folder, given.fastai_python)
        write_whole(given.json, measure(known[given.row], setting))
        return 0
    say(describe_machine(given.device) + "\n")
    records = []
    with tempfile.TemporaryDirectory(prefix="gulmfit-benchmark-") as folder:
        benchmark = Benchmark(known, Setting(given.device, given.tiny, Path(folder), given.fastai_python))
        for name in (name for name in known if name in given.only):
            start = time.perf_counter()
            records.append(benchmark.record(name))
            value, seconds = format_value(records[-1]["value"]), time.perf_counter() - start
            say(f"{name:<20} {value:>10} {known[name].unit:<12} {seconds:4.0f} s  {trouble(records[-1])}")
    for record in records:
        if ratios := benchmark.ratios(record["name"]):
            record["ratios"] = ratios
    say("\n" + table(records))
    write_whole(given.json, records)
    say(f"\n{given.json}")
    return int(any("failed" in record for record in records))


if __name__ == "__main__":
    sys.exit(main())
