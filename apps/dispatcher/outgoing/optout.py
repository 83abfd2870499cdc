"""Whether somebody who was called says that they are not to be called again."""

from __future__ import annotations

import re

_SAYS = {
    "de": (
        r"\b(?:nicht|nie|niemals)(?: mehr| wieder| nochmals?| noch einmal)+ "
        r"(?:hier |bei (?:mir|uns) |mich |uns )*an(?:zu)?rufen\b",
        r"\bruf\w* (?:sie |du )?(?:mich|uns|hier|diese nummer|bei (?:mir|uns))(?: bitte)? "
        r"(?:nicht|nie|niemals)(?: mehr| wieder)+ an\b",
        r"\bkeine(?:n|r)? (?:weiteren? |solchen? )?anrufe? (?:mehr|wollen|von ihnen)\b",
        r"\b(?:streichen|löschen|nehmen) sie (?:mich|uns|meine nummer|diese nummer)\b",
        r"\b(?:mich|uns|meine nummer|diese nummer) (?:bitte )?(?:aus|von) (?:der|ihrer) liste\b",
    ),
    "en": (
        r"\b(?:do not|don't|dont|never|stop|quit)(?: ever)? call(?:ing)? "
        r"(?:me|us|here|this number|my number)\b",
        r"\b(?:take|remove|delete) (?:me|us|my number|this number|my name) "
        r"(?:off|from|out of)\b",
        r"\b(?:take|put) (?:me|us|my number|this number) (?:off|on) (?:your|the|that) "
        r"(?:do not call )?list\b",
        r"\bno more calls\b",
        r"\bdo not want (?:any )?(?:more |further )?calls\b",
    ),
}
_PATTERNS = {language: re.compile("|".join(rules)) for language, rules in _SAYS.items()}


def opts_out(text: str, language: str) -> bool:
    """Tell whether words ask that nobody call again.

    Args:
        text: What was understood of the callee.
        language: ``de`` or ``en``.
    """
    plain = " ".join(re.sub(r"[^\w' ]+", " ", text.lower().replace("’", "'")).split())
    return _PATTERNS[language].search(plain) is not None
