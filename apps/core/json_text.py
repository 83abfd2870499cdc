"""JSON that somebody else wrote."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(raw: str | bytes) -> Any:
    r"""Return what a JSON text says; its own texts can be written again in any encoding.

    Raises:
        ValueError: It is no JSON, is nested too deeply, or holds half a character (a lone
            ``\ud800``), over which whoever stores or sends it on would stumble.
    """
    text = raw if isinstance(raw, str) else raw.decode()
    try:
        data = json.loads(text)
        if _HALF.search(text):  # mostly of a pair, which is a whole character
            json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return data
