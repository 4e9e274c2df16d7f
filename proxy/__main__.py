"""`python -m proxy` is the same command as `grayhound`."""

import sys

from proxy.cli import main

sys.exit(main())
