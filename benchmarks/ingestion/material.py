"""A collection of documents as an office has them, of any size, from a seed."""

from __future__ import annotations

import random
from pathlib import Path

from apps.core.resources import resource
from apps.knowledge.entries import load_entries

_PERSONAL = (
    "Ansprechpartner ist Herr Beispiel, Telefon 0171 {n:07d}, E-Mail b{n}@firma.example.",
    "Die IBAN lautet DE89 3704 0044 0532 0130 00, das Kennzeichen ist B-AB {p}.",
    "Rückruf bitte an null eins sieben eins zwei drei vier fünf sechs sieben.",
    "Call Ms Example at +49 30 {n:07d}; her passport number is C01X{p}T47.",
)
_PERSONAL_EVERY = 12


def sentences() -> dict[str, list[str]]:
    """Return the sample knowledge's sentences by language."""
    found: dict[str, list[str]] = {"de": [], "en": []}
    for entry in load_entries(resource("knowledge")):
        found[entry.language] += entry.sentences
    return found


def document(said: list[str], draw: random.Random, sections: int) -> str:
    """Return a Markdown document of its own: sections of paragraphs, some with personal data."""
    lines = [f"# Vorgang {draw.randrange(10**9)}"]
    for _ in range(sections):
        lines += ["", f"## {draw.choice(said)}", ""]
        for _ in range(draw.randint(1, 3)):
            paragraph = [draw.choice(said) for _ in range(draw.randint(3, 6))]
            if draw.randrange(_PERSONAL_EVERY) == 0:
                filled = draw.choice(_PERSONAL).format(
                    n=draw.randrange(10**7), p=draw.randrange(1, 9999)
                )
                paragraph.insert(1, filled)
            lines += [" ".join(paragraph), ""]
    return "\n".join(lines) + "\n"


def write(root: Path, count: int, *, seed: int = 1, sections: int = 8) -> None:
    """Write a folder of documents, half of them German."""
    draw, said = random.Random(seed), sentences()
    for number in range(count):
        language = ("de", "en")[number % 2]
        path = root / "kfz" / language / f"{number // 500:03d}" / f"{number:06d}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document(said[language], draw, sections), encoding="utf-8")
