"""The sketch of the model that ships, on the genomes that it was made of."""

from pathlib import Path

import numpy as np
import pytest

from gulmfit.pretrained import SKETCH, read_card, shipped
from gulmfit.seq.alphabet import decode
from gulmfit.seq.genome.store import GenomeStore
from gulmfit.seq.related.overlap import stand_in
from gulmfit.seq.related.sketch import Sketch

pytestmark = [pytest.mark.real, pytest.mark.slow]
LENGTHS = (100, 200, 500)


def test_what_was_read_is_found_and_what_is_unique_to_the_tail_is_not(data_dir: Path, tmp_path: Path) -> None:
    """Unique are the pieces that do not share a single 20-mer with anything that was read, by exact search."""
    folder = shipped()["bacteria"]
    sketch, genomes = Sketch.open(folder / SKETCH), read_card(folder)["genomes"]
    files = {path.name: path for path in data_dir.glob("*/*.fna.gz")}
    store = GenomeStore.build([files[genome["file"]] for genome in genomes], tmp_path)
    assert [source.sha256 for source in store.sources] == [genome["sha256"] for genome in genomes]
    records = [record for genome in genomes for record in genome["records"]]
    read = np.full(len(store.codes) + len(records), 4, np.uint8)
    for contig, record in zip(store.contigs, records, strict=True):
        for start, end in record["read"]:
            read[contig.start + start : contig.start + end] = store.codes[contig.start + start : contig.start + end]
    tail = records[0]["held_out"][0][0]
    assert records[0]["id"] == "NC_000913.3"
    mg1655 = decode(np.asarray(store.codes[: store.contigs[0].length]))
    known = [mg1655[start : start + length] for length in LENGTHS for start in range(0, tail - 2_000, 9_973)]
    assert sketch.stand_in(known).all()
    held = [mg1655[start : start + length] for length in LENGTHS for start in range(tail, len(mg1655) - length, 199)]
    unique = [text for text, met in zip(held, stand_in(held, read, 20, 1e-9), strict=True) if not met]
    assert len(unique) > 500
    assert sketch.stand_in(unique).mean() < 0.005
