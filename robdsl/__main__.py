"""``python -m robdsl`` equals ``robdsl``; under torchrun it is the form to use."""

import sys

from robdsl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
