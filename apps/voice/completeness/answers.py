"""Short turns: greetings, goodbyes, thanks, yes and no, ratings, and "go on"."""

import re

from apps.core.words import fold
from apps.voice.completeness.lexicon import words as words_of
from apps.voice.completeness.numbers import UNITS, digits_in


def _phrases(text: str) -> frozenset[str]:
    return frozenset(fold(phrase.strip()) for phrase in text.replace("\n", " ").split("|"))


_FILLERS = {
    "en": _phrases("uh|um|er|erm|uhm|hmm|hm|eh|ah|oh|well|so|and|but|okay|ok|yes|yeah|right|now"),
    "de": _phrases("ähm|äh|öhm|hm|hmm|eh|ah|oh|also|ja|na|naja|nun|tja|und|aber|okay|ok|gut|so"),
}
_OPENERS = {
    "en": _phrases(
        "hello|hi|hey|hi there|hello there|good morning|good afternoon|good evening|excuse me|"
        "sorry|"
        "please|thanks|thank you|actually|basically|you know|i mean|let's see|one more thing|no|"
        "great|perfect|maybe|by the way|just|wait|wait a minute|wait a second|hold on|hang on|stop|"
        "one moment|one second"
    ),
    "de": _phrases(
        "hallo|guten tag|guten morgen|guten abend|grüß gott|moin|servus|hi|entschuldigung|bitte|"
        "danke|eigentlich|sagen sie mal|sagen sie|sag mal|noch was|noch eine frage|nein|doch|"
        "verzeihung|übrigens|vielleicht|mal|schönen guten tag|super|prima|dann|warte|warte mal|"
        "warten sie|moment|moment mal|einen moment|sekunde|stopp|stop|halt"
    ),
}
_BEFORE = {language: _FILLERS[language] | _OPENERS[language] for language in _FILLERS}
_CLOSERS = {
    "en": _phrases("please|thanks|thank you|right|okay|ok|huh"),
    "de": _phrases("bitte|danke|bitte schön|danke schön|gell|ne|nicht wahr|bitteschön"),
}
# Whole turns by themselves, and at the end of whatever was said.
_ENDS = {
    "en": _phrases(
        "bye|goodbye|good bye|bye bye|see you|see you later|thank you very much|thanks a lot|"
        "thank you so much|many thanks|that's all|that is all|that's it|that was it|nothing else|"
        "have a nice day|have a good day|good night|take care|thanks for your help|"
        "thank you for your help|that will be all|i don't know|i do not know|never mind|"
        "that would be great|that would be nice"
    ),
    "de": _phrases(
        "tschüss|tschüs|tschau|ciao|auf wiederhören|auf wiedersehen|wiederhören|wiedersehen|"
        "vielen dank|danke schön|dankeschön|danke sehr|herzlichen dank|besten dank|das war's|"
        "das wars|das war alles|das ist alles|das wäre alles|mehr nicht|sonst nichts|"
        "schönen tag noch|einen schönen tag|schönes wochenende|gute nacht|bis dann|bis bald|"
        "bis morgen|weiß ich nicht|keine ahnung|das weiß ich nicht|ich weiß es nicht|"
        "danke für die hilfe|vielen dank für ihre hilfe|danke für ihre hilfe|das reicht mir"
    ),
}
_WHOLE = {
    "en": _phrases(
        "hello|hi|hello there|hi there|hey|good morning|good afternoon|good evening|thanks|"
        "thank you|yes|yeah|yep|yes please|no|nope|no thanks|no thank you|sure|of course|okay|ok|"
        "correct|exactly|that's right|that is right|that's correct|that's wrong|yes i am|"
        "yes i do|yes i did|yes i have|yes i can|yes i will|no i don't|no i didn't|no i'm not|"
        "no i haven't|no i can't|yes it is|yes it does|no it isn't|no it doesn't|absolutely|"
        "definitely|"
        "not really|not yet|maybe|i think so|i don't think so|of course not|certainly|perfect|"
        "great|"
        "all right|alright|sorry|pardon|excuse me|help|stop|wait|right|all good|"
        "neither|me too|again please|say that again|repeat that please|one moment|"
        "one moment please|just a moment|hold on|that's fine"
    ),
    "de": _phrases(
        "hallo|guten tag|guten morgen|guten abend|grüß gott|moin|servus|danke|ja|ja bitte|jawohl|"
        "ja gerne|ja gern|gerne|gern|nein|nein danke|nö|nee|doch|genau|ja genau|richtig|stimmt|"
        "das stimmt|das ist richtig|das stimmt nicht|natürlich|klar|na klar|selbstverständlich|"
        "okay|ok|in ordnung|alles klar|gut|sehr gut|super|perfekt|prima|vielleicht|noch nicht|"
        "eher nicht|ich glaube schon|ich glaube nicht|auf jeden fall|auf keinen fall|keins|"
        "wie bitte|hilfe|stopp|moment|einen moment|einen moment bitte|moment bitte|falsch|"
        "nicht wirklich|das geht|passt|das passt|sicher|bestimmt|leider nicht|leider nein|"
        "noch mal bitte|noch einmal bitte|nochmal bitte|entschuldigung"
    ),
}
_YES_NO = {
    "en": words_of(
        "yes yeah yep yup no nope nah sure correct right exactly absolutely definitely okay"
    ),
    "de": words_of(
        "ja jo jawohl jep nein noe nee ne doch genau richtig stimmt gerne gern klar okay ok"
    ),
}
_BACKCHANNELS = {
    "en": _phrases(
        "mhm|mm|mmm|mm hmm|mm hm|mmhm|uh huh|uhuh|uhhuh|hm|hmm|aha|ah|oh|ooh|wow|yes|yeah|yep|yup|"
        "okay|ok|kay|right|sure|i see|alright|all right|got it|i understand|understood|exactly|"
        "true|good|great|fine|cool|nice|of course|oh okay|ah okay|interesting|absolutely|"
        "makes sense|that makes sense|gotcha|fair enough|indeed|very good"
    ),
    "de": _phrases(
        "mhm|mh|mm|mmm|mm hm|hm|hmm|hm hm|aha|ah|oh|ach|ach so|achso|ah so|ja|jaja|jo|jup|jep|"
        "okay|ok|genau|verstehe|ich verstehe|verstanden|alles klar|klar|na klar|richtig|stimmt|"
        "gut|sehr gut|super|prima|schön|in ordnung|ist gut|ach ja|ah ja|interessant|natürlich|"
        "logisch|sicher|passt|so so|soso|eben|habe verstanden|hab verstanden|ach was|ach komm|doch"
    ),
}
# Openers that a speaker never stops at for good.
LEADING = {
    "en": _phrases("uh|um|er|erm|uhm|well|so|and|but|now|actually|basically|you know|i mean"),
    "de": _phrases("ähm|äh|öhm|also|na|naja|nun|tja|und|aber|so|eigentlich|dann|mal|übrigens"),
}
_STARS = words_of("star stars stern sterne sternen point points punkt punkte punkten")
_NO_RATING = re.compile(
    r"(?:no|kein\w*) (?:rating|bewertung|thanks|note|comment|angabe|sterne)"
    r"|(?:rather|lieber) (?:not|nicht)|(?:skip|passe)(?: (?:it|that|das))?"
)
_RATED = re.compile(
    r"(?:out of|of|von|von maximal) (?:5|five|fuenf)(?: (?:stars?|sterne?n?|points?|punkten?))?"
)
_LONGEST = 6


def _strip(words: list[str], known: frozenset[str], *, front: bool) -> list[str]:
    """The words without any run of the phrases at one end."""
    while words:
        for length in range(min(3, len(words)), 0, -1):
            part = words[:length] if front else words[-length:]
            if " ".join(part) in known:
                words = words[length:] if front else words[:-length]
                break
        else:
            return words
    return words


def without_openers(words: list[str], language: str) -> list[str]:
    """Drop "well", "hallo, guten Tag", "also": what is said before what is meant."""
    return _strip(words, _BEFORE[language], front=True)


def without_closers(words: list[str], language: str) -> list[str]:
    """Drop a closing "please" or "danke"."""
    return _strip(words, _CLOSERS[language], front=False)


def is_formula(words: list[str], language: str) -> bool:
    """A greeting, thanks or a short answer, or anything that ends in a goodbye or thanks."""
    if _in(words, _WHOLE[language]) or _in(without_fillers(words, language), _WHOLE[language]):
        return True
    return any(
        " ".join(words[-length:]) in _ENDS[language]
        for length in range(1, min(_LONGEST, len(words)) + 1)
    )


def without_fillers(words: list[str], language: str) -> list[str]:
    """Drop what only gains time at the start, but never the last word."""
    return _strip(words[:-1], _FILLERS[language], front=True) + words[-1:]


def _in(words: list[str], phrases: frozenset[str]) -> bool:
    return " ".join(words) in phrases


def is_yes_or_no(words: list[str], language: str) -> bool:
    """Starts or ends as an answer to a yes/no question, and is short."""
    known = _YES_NO[language]
    return len(words) <= 3 and (words[0] in known or words[-1] in known)


def is_rating(words: list[str], language: str) -> bool:
    """One to five, with or without stars, or the wish not to rate."""
    text = " ".join(words)
    if _NO_RATING.search(text):
        return True
    rated = _RATED.search(text)
    if rated and rated.end() == len(text):
        words = text[: rated.start()].split()
    if words and words[-1] in _STARS:
        words = words[:-1]
    if not words:
        return False
    word = words[-1]
    if word in ("eine", "ein", "einen"):  # "eine" is "a" more often than "one"
        return text.split()[-1] in _STARS
    if word.isdigit():
        return word in "12345"
    five = _ONE_TO_FIVE[language]
    return word in five and digits_in(word, language) == 1 and word in UNITS[language]


_ONE_TO_FIVE = {
    "en": words_of("one two three four five"),
    "de": words_of("eins zwei zwo drei vier fuenf einser zweier dreier vierer fuenfer"),
}


def is_backchannel(words: list[str], language: str) -> bool:
    """Nothing but phrases that say "I am listening"."""
    return bool(words) and not _strip(words, _BACKCHANNELS[language], front=True)
