"""These tests need the kernel that `scripts/vm` boots; elsewhere they are not collected."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "PYNET_VM" in os.environ else ["test_*.py"]
