"""What `scripts/demo` runs: the story of `pynet.testnets.demo`, told on this terminal."""

from __future__ import annotations

import sys
import time

from pynet.testnets.demo.demo import FAILURES, INTRODUCTION, tell


def main() -> int:
    """0 where all of it came true."""
    print(INTRODUCTION)
    begin = time.perf_counter()
    try:
        drawn = tell(lambda line: print(line, flush=True))
    except FAILURES as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print(f"\nThat was all, in {time.perf_counter() - begin:.1f} s. What it looked like: {drawn}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
