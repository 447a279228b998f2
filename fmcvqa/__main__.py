"""``python -m fmcvqa``, and what Lightning runs for the other ranks of a job."""

import sys

if __name__ == "__main__":
    if sys.path[0] == __file__.rpartition("/")[0]:
        del sys.path[0]  # run as a file: our modules are not to be found by their bare names
    from fmcvqa.cli import main

    sys.exit(main())
