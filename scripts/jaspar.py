"""Write the motifs of JASPAR, or of any database that gulmfit-motifs reads, to a MEME file.

    python scripts/jaspar.py JASPAR2026.sqlite jaspar.meme
    python scripts/jaspar.py jaspar:plants plants.meme

The SQLite database is in the wheel of pyjaspar (`pip install 'gulmfit[jaspar]'`), from which `jaspar` takes it.
JASPAR's profiles are under CC BY 4.0 (jaspar.elixir.no).
"""

import sys
from pathlib import Path

from gulmfit.errors import GulmfitError
from gulmfit.seq.formats.motif_databases import read_database
from gulmfit.seq.formats.motif_files import write_meme


def main(words: list[str]) -> int:
    """Return 0, 1 where the database cannot be read, or 2 where it was called wrongly."""
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        motifs = read_database(words[0])
        write_meme(Path(words[1]), motifs)
    except GulmfitError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(motifs):,} motifs: {words[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
