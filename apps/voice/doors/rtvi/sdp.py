"""Offers with video, which Pipecat's clients always make, and answers that decline it."""

from __future__ import annotations

from dataclasses import dataclass

_NEWLINE = "\r\n"


@dataclass(frozen=True, slots=True)
class Declined:
    """A section that the answer declines.

    Attributes:
        index: Its place among the offer's sections.
        protocol: Its transport protocol, as offered.
        payload: Its first payload type.
        mid: Its name.
    """

    index: int
    protocol: str
    payload: str
    mid: str


def without_video(offer: str) -> tuple[str, tuple[Declined, ...]]:
    """Return an offer without its video sections, and what was left out."""
    head, sections = _split(offer)
    kept, declined = [], []
    for index, section in enumerate(sections):
        if not section[0].startswith("m=video"):
            kept.append(section)
            continue
        _, _, protocol, payload, *_ = [*section[0].split(), "", "", ""]
        mids = [line.removeprefix("a=mid:") for line in section if line.startswith("a=mid:")]
        name = mids[0] if mids else str(index)
        declined.append(Declined(index, protocol or "UDP/TLS/RTP/SAVPF", payload or "0", name))
    names = {section.mid for section in declined}
    return _join([_unbundled(line, names) for line in head], kept), tuple(declined)


def declining(answer: str, declined: tuple[Declined, ...]) -> str:
    """Return an answer with the declined sections in their places, as RFC 3264 wants them."""
    head, sections = _split(answer)
    for section in declined:  # in the order of their places
        lines = [
            f"m=video 0 {section.protocol} {section.payload}",
            "c=IN IP4 0.0.0.0",
            "a=inactive",
            f"a=mid:{section.mid}",
        ]
        sections.insert(section.index, lines)
    return _join(head, sections)


def _split(sdp: str) -> tuple[list[str], list[list[str]]]:
    head: list[str] = []
    sections: list[list[str]] = []
    for line in sdp.splitlines():
        if line.startswith("m="):
            sections.append([])
        (sections[-1] if sections else head).append(line)
    return head, sections


def _join(head: list[str], sections: list[list[str]]) -> str:
    lines = [*head, *(line for section in sections for line in section)]
    return "".join(line + _NEWLINE for line in lines if line)


def _unbundled(line: str, names: set[str]) -> str:
    if not line.startswith("a=group:BUNDLE"):
        return line
    return " ".join(part for part in line.split() if part not in names)
