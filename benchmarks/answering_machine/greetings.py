"""What people and machines say when they pick up; a bar is a pause in the middle of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["tune", "held"]


@dataclass(frozen=True, slots=True)
class Greeting:
    """One greeting.

    Attributes:
        language: ``de`` or ``en``.
        machine: Whether a machine says it.
        text: Its words; ``|`` is a pause.
        split: Whether rules may be tuned on it, or it is kept apart.
    """

    language: str
    machine: bool
    text: str
    split: Split


_PEOPLE: dict[tuple[str, Split], tuple[str, ...]] = {
    ("de", "tune"): (
        "hallo",
        "ja",
        "ja bitte",
        "müller",
        "hallo | wer ist da",
        "schneider guten tag",
        "guten tag hier ist klaus weber",
        "firma hansen und sohn mein name ist petra wolf guten tag",
        "autohaus am see guten morgen was kann ich für sie tun",
    ),
    ("de", "held"): (
        "ja hallo",
        "bitte",
        "schmidt",
        "schubert hallo",
        "moin",
        "hallo | ja",
        "familie krause guten abend",
        "hier bei lehmann guten tag",
        "praxis doktor vogel sie sprechen mit frau lange guten tag",
        "bäckerei sommer guten morgen was darf es sein",
    ),
    ("en", "tune"): (
        "hello",
        "yes",
        "hi there",
        "hello | who is this",
        "john miller speaking",
        "good morning this is mary",
        "miller and sons hardware how may i help you",
        "hello this is the front desk susan speaking good morning",
    ),
    ("en", "held"): (
        "yeah hello",
        "speaking",
        "good evening",
        "hi | hello",
        "anna brown",
        "hello peter here",
        "green garden centre good afternoon",
        "city library reference desk this is paul how can i help you",
        "thank you for calling the corner bakery what can i get you",
    ),
}

_MACHINES: dict[tuple[str, Split], tuple[str, ...]] = {
    ("de", "tune"): (
        "guten tag sie sind verbunden mit dem anrufbeantworter der familie becker wir sind zur "
        "zeit nicht zu hause bitte hinterlassen sie eine nachricht nach dem signalton",
        "hallo | hier ist der anschluss von jonas ich bin gerade nicht erreichbar sprechen sie "
        "bitte nach dem ton",
        "der angerufene teilnehmer ist zur zeit nicht erreichbar bitte hinterlassen sie eine "
        "nachricht nach dem piepton",
        "hallo hier ist die mailbox von lisa | ich rufe gern zurück nachrichten bitte nach dem ton",
        "willkommen bei der sprachbox der teilnehmer kann ihren anruf gerade nicht annehmen",
    ),
    ("de", "held"): (
        "dies ist die mailbox von null eins sieben eins vier vier fünf bitte sprechen sie nach dem "
        "signal",
        "hallo | leider bin ich im moment nicht da | hinterlassen sie mir doch eine nachricht dann "
        "rufe ich zurück",
        "guten tag sie haben die kanzlei berger angerufen unser büro ist montags bis freitags von "
        "neun bis siebzehn uhr besetzt",
        "hier ist der automatische anrufbeantworter von familie richter bitte sprechen sie jetzt",
        "ja hallo hier ist tim ich kann gerade nicht rangehen sprich mir einfach was drauf",
        "die person die sie anrufen ist vorübergehend nicht zu erreichen versuchen sie es später "
        "noch einmal",
    ),
    ("en", "tune"): (
        "hello you have reached the miller family we cannot come to the phone right now please "
        "leave a message after the tone",
        "hi | this is james i am not here at the moment leave your name and number after the beep",
        "the person you are calling is not available please record your message when you have "
        "finished you may hang up",
        "you have reached the voice mail of susan clark please leave a message",
        "thank you for calling our office is currently closed our opening hours are nine to five",
    ),
    ("en", "held"): (
        "your call has been forwarded to an automatic voice message system five five five is not "
        "available",
        "hey it is katie | sorry i missed you leave a message and i will call you right back",
        "hello this is the answering machine of robert and jane please speak after the signal",
        "we are sorry nobody can take your call at the moment please try again later or leave a "
        "message",
        "hi you have reached doctor allen | if this is an emergency please hang up and dial the "
        "emergency number",
        "the mobile phone you have dialled is switched off please leave your message now",
    ),
}


def greetings(split: Split) -> list[Greeting]:
    """Return one half of the greetings."""
    sets = ((False, _PEOPLE), (True, _MACHINES))
    return [
        Greeting(language, machine, text, split)
        for machine, texts in sets
        for (language, part), of_part in texts.items()
        if part == split
        for text in of_part
    ]
