"""`python -m gulmfit` is `gulmfit`."""

from gulmfit.cli import main

if __name__ == "__main__":
    main()
