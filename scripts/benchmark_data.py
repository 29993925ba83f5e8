"""Rows of scripts/benchmark.py without arithmetic: genome stores, token streams, the start of a training run.

The genomes are random, and E. coli's where it is to be had; they are written once, for all rows.
"""

import gzip
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from benchmark_timing import CannotMeasureError, Measurement, Setting, median, rates, resident

from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.tokens.tokenizer import KmerTokenizer

TOKENIZER = KmerTokenizer(k=5, stride=2)
CHROMOSOME_BP = 4_640_000  # about E. coli's genome; multiples of it have as many chromosomes
LARGE_BP = 46_400_000
TINY_BP = 50_000
LINE_BP = 80
# Room for a genome, its store and what stands beside it while it is built, with plenty to spare.
DISK_BYTES_PER_BASE = 6
E_COLI = "ecoli_k12/GCF_000005845.2_ASM584v2_genomic.fna.gz"


def random_bases(count: int, seed: int = 0) -> bytes:
    """Return random letters, each as probable as the others."""
    codes = np.random.default_rng(seed).integers(4, size=count, dtype=np.uint8)
    return np.frombuffer(b"ACGT", np.uint8)[codes].tobytes()


def write_genome(path: Path, chromosome_bp: int, chromosomes: int = 1, level: int = 1) -> Path:
    """Write a gzipped FASTA of random chromosomes, unless it is there."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        with gzip.open(partial, "wb", compresslevel=level) as handle:
            for number in range(chromosomes):
                letters = np.frombuffer(random_bases(chromosome_bp, seed=number), np.uint8).reshape(-1, LINE_BP)
                lines = np.pad(letters, ((0, 0), (0, 1)), constant_values=ord("\n"))
                handle.write(f">random_{number}\n".encode() + lines.tobytes())
        partial.replace(path)
    return path


def genome(setting: Setting) -> tuple[Path, str]:
    """Return the FASTA that `store`, `gunzip` and `tokens` read, and what it is."""
    from gulmfit.config import data_dir

    real = Path(data_dir()) / E_COLI
    if real.is_file() and not setting.tiny:
        return real, "E. coli"
    return write_genome(setting.folder / "random.fa.gz", TINY_BP if setting.tiny else LARGE_BP, level=6), "random bases"


def chromosomes(setting: Setting, times: int) -> Path:
    """Return the FASTA of so many random chromosomes.

    Raises:
        CannotMeasureError: If there is too little room on the disk.
    """
    chromosome_bp = TINY_BP if setting.tiny else CHROMOSOME_BP
    free, needed = shutil.disk_usage(setting.folder).free, times * chromosome_bp * DISK_BYTES_PER_BASE
    if free < needed:
        raise CannotMeasureError(f"{setting.folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are needed")
    return write_genome(setting.folder / f"x{times}.fa.gz", chromosome_bp, times)


def store(setting: Setting) -> Measurement:
    """Build the store of a FASTA file, from nothing: Mb of bases a second."""
    path, what = genome(setting)
    return _build(path, setting.folder / "store", setting, what)


def store_of_chromosomes(setting: Setting, times: int) -> Measurement:
    """Build the store of so many chromosomes; the last one built stays for `startup` and `memory_of_startup`."""
    return _build(chromosomes(setting, times), setting.folder / f"store_x{times}", setting)


def _build(path: Path, cache: Path, setting: Setting, note: str = "") -> Measurement:
    def build() -> float:
        return GenomeStore.build(path, cache).codes.size / 1e6

    return median(rates(build, setting, before=lambda: shutil.rmtree(cache, ignore_errors=True)), note=note)


def gunzip(setting: Setting) -> Measurement:
    """Decompress the same file and nothing else: Mb of bases a second, what no reader of it can beat on one core.

    Raises:
        CannotMeasureError: If there is no gunzip.
    """
    if not shutil.which("gunzip"):
        raise CannotMeasureError("gunzip is not installed")
    path, what = genome(setting)
    megabases = GenomeStore.build(path, setting.folder / "gunzip").codes.size / 1e6

    def decompress() -> float:
        subprocess.run(["gunzip", "-c", str(path)], stdout=subprocess.DEVNULL, check=True)
        return megabases

    return median(rates(decompress, setting), note=what)


def tokens(setting: Setting) -> Measurement:
    """Read training windows from a store with one thread: Mb of bases a second, both strands counted."""
    import torch

    from gulmfit.data.stream import TokenStream

    torch.set_num_threads(1)
    path, what = genome(setting)
    built = GenomeStore.build(path, setting.folder / "tokens")
    batch_size, bptt = (8, 8) if setting.tiny else (256, 70)
    intervals = built.clear_intervals("split")
    stream = TokenStream(built.codes, intervals, TOKENIZER, batch_size=batch_size, bptt=bptt, training=True)

    def epoch() -> float:
        return sum(batch.tokens.numel() for batch in stream) * TOKENIZER.stride / 1e6

    return median(rates(epoch, setting), note=what)


def tokens_in_python(setting: Setting) -> Measurement:
    """Cut a sequence into k-mers as a Python loop does: Mb of bases a second."""
    sequence = random_bases(TINY_BP if setting.tiny else 1_000_000).decode()
    numbers = {kmer: number for number, kmer in enumerate(TOKENIZER.vocabulary())}
    k, stride = TOKENIZER.k, TOKENIZER.stride

    def cut() -> float:
        found = [numbers[sequence[i : i + k]] for i in range(0, len(sequence) - k + 1, stride)]
        return len(found) * stride / 1e6

    return median(rates(cut, setting))


def startup(setting: Setting, times: int) -> Measurement:
    """Open a store, hold a part out, count tokens and read the first training batch: seconds, imports left out."""
    start = _start(setting, times)

    def once() -> float:
        start()
        return 1.0

    return median([1.0 / rate for rate in rates(once, setting)])


def memory_of_startup(setting: Setting, times: int) -> Measurement:
    """Do what `startup` does, once: MiB of resident memory at its peak, beyond what the imports took."""
    start = _start(setting, times)
    before = resident()
    start()
    return median([resident(peak=True) - before])


def _start(setting: Setting, times: int) -> Callable[[], object]:
    """Prepare what comes before the first training batch of a run over so many chromosomes."""
    from gulmfit.config import compose, instantiate
    from gulmfit.data.corpus import LanguageModelDataModule
    from gulmfit.models.hardware import keep_freed_memory
    from gulmfit.train.run import Run
    from gulmfit.train.stages.language import corpus

    cache = setting.folder / f"store_x{times}"
    # In a process of its own: writing a genome must not count as memory of this one.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        path = pool.submit(_stored, setting, times, cache).result()
    overrides = ["stage=pretrain", "data=fasta", f"data.path={path}", f"paths.cache_dir={cache}"]
    if setting.tiny:
        overrides += ["batch_size=8", "bptt=8", "holdout.how=tail"]
    config = compose(overrides)
    keep_freed_memory()

    def start() -> object:
        built, holdout = corpus(Run(config, setting.folder), instantiate(config.data))
        data = LanguageModelDataModule(
            built.codes,
            holdout,
            TOKENIZER,
            batch_size=int(config.batch_size),
            bptt=int(config.bptt),
            strands=str(config.strands),
            seed=int(config.seed),
        )
        return data.token_counts(), next(iter(data.stream(training=True)))

    return start


def _stored(setting: Setting, times: int, cache: Path) -> Path:
    """Write the chromosomes and build their store, unless both are there; return the FASTA."""
    path = chromosomes(setting, times)
    if not cache.is_dir():
        GenomeStore.build(path, cache)
    return path
