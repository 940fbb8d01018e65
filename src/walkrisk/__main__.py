"""`python -m walkrisk`."""

from __future__ import annotations

import sys

from walkrisk.cli import main

sys.exit(main())
