"""How a one-shot starts: most of its time are imports, and some of that can be spared.

`python -I -c "from pynet.daemon.one_shot_start import main; main()" bridge`
"""

from __future__ import annotations

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """`one_shot.main`, sooner."""
    # What is garbage the kernel frees, in less than a tenth of a second.
    gc.disable()
    _import_msgspec()
    from .one_shot import main as serve_one

    serve_one()


def _import_msgspec() -> None:
    """Where there is no typing_extensions it takes typing's own, without what the other imports."""
    if "typing_extensions" in sys.modules:
        return
    sys.modules["typing_extensions"] = None  # type: ignore[assignment] # as good as not installed
    try:
        import msgspec  # noqa: F401
    except ImportError:
        pass  # whoever needs it will import it with the other, or say what is wrong
    finally:
        del sys.modules["typing_extensions"]
