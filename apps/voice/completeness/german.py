"""Is a German clause finished? Rules over the letters of `german_tags`, one letter a word."""

import re

from apps.voice.completeness import german_words as lexicon
from apps.voice.completeness.german_tags import tag
from apps.voice.completeness.lexicon import words as words_of
from apps.voice.completeness.numbers import digits_in
from apps.voice.completeness.verdict import Completeness

_FINALS = frozenset("dpqcskzmhbuw")
_FINITE = frozenset("vmhbu")
_PHRASE = re.compile(r"[pq]w?d?[kja]*n")
_NOMINAL = re.compile(r"d?[kj]*n+|[ro]|d(?=[vmhbu])")
_SUBJECTS = words_of("ich wir er man")
_MEASURES = words_of(
    "kosten dauern betragen heissen wohnen liegen gelten bedeuten bleiben reichen stehen "
    "sprechen gehen kommen laufen fahren"
)
_HAPPENING = words_of("passieren geschehen fehlen zahlen bezahlen haften gelten kommen entstehen")


def verdict(words: list[str], polite: bool) -> Completeness:
    """Judge a whole utterance, without openers and closing "bitte".

    Args:
        words: Folded by `apps.core.words.fold`.
        polite: A "bitte" stood at the end: a noun alone is then a request.
    """
    tags = tag(words)
    start = _last_clause(words, tags)
    if _particle(words[start:], tags[start:]):
        return Completeness.COMPLETE
    introduced = start > 0 and words[start - 1] in lexicon.THINKING
    subordinate = start > 0 and not introduced and _verb_last(tags[start:])
    core = tags.rstrip("e") or "e"
    lost = words[len(core) - 1] in _SUBJECTS and core[-2:-1] not in tuple("vmhbuio")
    if (
        lost
        or core[-1] in "cs"
        or (tags[-1] in _FINALS and not (subordinate and tags[-1] in _FINITE))
    ):
        pointed = words[-1] == "das" and tags[-2:-1] in tuple("vi")
        return Completeness.OPEN if pointed else Completeness.HANGING
    if tags[-1] == "j" or words[-1] in lexicon.ANNOUNCING or words[-1] in lexicon.SAYING:
        return Completeness.OPEN
    if subordinate:
        done = tags[0] != "s" and _subordinate(words[start:], tags[start:])
        done = done and bool(re.search("[vmhbui]", tags[:start]))
    elif tags[0] == "s" and (start == 0 or tags[start] not in "vmhbuiw"):
        done = False  # "wenn ich mein auto verkaufe": was dann?
    else:
        done = _main(words[start:], tags[start:], polite)
    return Completeness.COMPLETE if done else Completeness.OPEN


def _particle(words: list[str], tags: str) -> bool:
    """Ends in the particle of its separable verb: "wie melde ich mein auto an"."""
    if not re.search("[rnd].*.$", tags[1:]) and len(words) < 3:
        return False
    return any(
        words[-1] in lexicon.SEPARABLE.get(_base(word), ())
        for word, kind in zip(words[:-1], tags, strict=False)
        if kind in "vi"
    ) and (words[-1] != "ein" or tags[-2:-1] == "n")


def _base(word: str) -> str:
    return lexicon.FINITES.get(word) or lexicon.INFINITIVES.get(word) or word


def _last_clause(words: list[str], tags: str) -> int:
    """Where the last clause starts."""
    start = 0
    for place in range(1, len(tags)):
        kind, before, after = tags[place], tags[place - 1], tags[place + 1 : place + 3]
        if (
            kind == "s"
            or (kind == "w" and before not in ("p", "w", "c"))
            or (before == "c" and (kind in "vmhbuw" or (kind in "re" and after[:1] in _FINITE)))
            or (kind in "rd" and words[place - 1] in lexicon.THINKING and tags[:place] == "rv")
            or (kind == "d" and after[:1] == "d")
            or (kind == "d" and before == "n" and after[:1] in tuple("rold"))
            or (
                kind in "vmhbu"
                and (after[:1] == "r" or words[place + 1 : place + 2] == ["das"])
                and re.search("[vmhbuit]", tags[start:place])
            )
        ):
            start = place
    return start


def _verb_last(clause: str) -> bool:
    """Does the clause want its verb at the end, as after "weil" or an indirect question word?"""
    if clause[0] == "w":
        if re.fullmatch("w[kaej]*[vmhbui]", clause):
            return False  # "was ist": its subject is still to come
        return not re.match(r"w[kedajn]*?[vmhbu](?!$)|wi[rdn]", clause)
    return clause[0] in ("s", "d")


def _subordinate(words: list[str], tags: str) -> bool:
    """Finished by its verb: "wann sie morgen öffnen", not "weil ich umgezogen"."""
    body = tags.rstrip("e")
    if not body or not re.search("[rndo]", body[:-1]):
        return False
    if re.search("[vmhbu]{2}$", body):
        return False  # the main clause goes on: "das paket das ich habe ist"
    if body[-1] == "i":
        return not lexicon.SINGULAR & set(words[1:3])
    return body[-1] in "vmhbu"


def _main(words: list[str], tags: str, polite: bool) -> bool:
    if re.match("[pq]w", tags):
        words, tags = words[1:], tags[1:]  # "um wie viel uhr" asks as "wie viel" does
    place = _finite(tags)
    if place is None:
        return _fragment(tags, polite)
    before, after = tags[:place], tags[place + 1 :]
    kind = tags[place]
    if tags[-1] == "v" and place < len(tags) - 1 and "w" not in tags[:1]:
        return False  # a new clause has begun: "ich bin umgezogen brauche"
    if _purpose(words, tags, place):
        return False
    if kind in "vi":
        return _full_verb(words, tags, place)
    if not re.search("[rndw]", before + after):
        return False
    if kind == "m" and words[-1] in ("hin", "rein", "raus", "weg", "los"):
        return True
    if kind == "m" and re.search("[iy].*c[^iyvt]*$", after):
        return False
    if re.search("y" if kind == "b" else "[iy]", after) or (kind in "hbu" and "t" in after):
        return True
    if kind == "h":
        return _have(words, tags, place)
    if kind == "b":
        return _be(words, tags, place)
    return polite and "n" in after


def _purpose(words: list[str], tags: str, place: int) -> bool:
    """Whether "um" has opened what "zu" and a verb will close: "was brauche ich um den termin"."""
    if "um" not in words[place:] or "y" in tags:
        return False
    at = words.index("um", place)
    return not any(digits_in(word, "de") for word in words[at + 1 : at + 3])


def _finite(tags: str) -> int | None:
    """Where the finite verb stands, None for a phrase without one."""
    found = re.search(r"[vmhbu]|i(?=[rd])|(?<=w)i|(?<=wn)i$", tags)
    if found is None or (
        found[0] == "i" and found.start() > 0 and "w" not in tags[: found.start()]
    ):
        return (
            None
            if found is None
            else next((place for place, kind in enumerate(tags) if kind in _FINITE), None)
        )
    return found.start()


def _full_verb(words: list[str], tags: str, place: int) -> bool:
    before, after, base = tags[:place], tags[place + 1 :], _base(words[place])
    if re.search("y", after):
        return True
    if base == "lassen":
        return "i" in after
    if base in lexicon.HALF_SAID or (
        base in lexicon.PLACING and words[place] != "gibt" and words[0] in ("wo", "wie", "wann")
    ):
        return False
    subject = bool(re.search("[rn]|d$", after)) or bool(re.search("[rnd]", _PHRASE.sub("", before)))
    if base in lexicon.INTRANSITIVE:
        if base == "kommen" and words[0] == "wie" and after.strip("e") == "r":
            return False
        if before.startswith("w") and not re.search("[rn]", after):
            return words[0] in ("was", "wer", "welche", "welches") and base in _HAPPENING
        if base in _MEASURES and not before.startswith("w"):
            return bool(
                re.search(
                    "[naetir]", re.sub(r"^e*(?:r|d?[kj]*n)", "", after) if not before else after
                )
            )
        if (before, after.strip("e")) in (("", "r"), ("", "d"), ("r", "")):
            return False  # "kommt er", "ich wohne"
        return subject
    bare = _PHRASE.sub("", before) + words[place][:0] + "|" + _PHRASE.sub("", after)
    asked = before.startswith("w") and (
        words[0] in ("was", "wen", "wer") or words[0].startswith("welch") or "n" in before
    )
    nominal = len(_NOMINAL.findall(bare.replace("w", ""))) + (asked and "n" not in before)
    return nominal > 1


def _have(words: list[str], tags: str, place: int) -> bool:
    before, after = tags[:place], tags[place + 1 :]
    if re.search(r"[ae]$", after) and re.search(r"offen|auf|zu$|frei", words[-1]):
        return True
    wanted = words[place].startswith("haett") and {"gern", "gerne"} & set(words)
    if wanted:
        return "n" in after
    if words[-1] == "mehr":
        return True
    if before.startswith("w"):
        return "n" in before and bool(re.search("[rn]", after))
    if before:
        return False
    rest = re.match(r"(?:r|d?[kj]*n)e*([rdkjn]+)", after)
    return rest is not None and words[place + 1 + rest.start(1)] not in lexicon.DEFINITE


def _be(words: list[str], tags: str, place: int) -> bool:
    before, after = tags[:place], tags[place + 1 :]
    if "y" in after:
        return True
    if "a" in after:
        return not ("es" in words and "moeglich" in words)
    if before.startswith("w"):
        if re.search("d[kj]*n.*d[kj]*n$", after):
            return True
        if words[0] == "wann":
            return bool(lexicon.NEXT & set(words))
        if after.strip("e") == "r":
            return words[0] in ("wo", "wer", "was")
        return bool(re.search("[nr]", after)) and words[0] != "warum"
    if words[-1] in lexicon.PLACES and after:
        return True
    if re.match(r"[pq].*n$", before) and after:
        return after[-1] == "n"  # "in der scheibe ist ein riss"
    if re.search(r"(?:^r|d[kj]*n)e*d[kj]*n", after) and not before:
        return True
    pointed = (words[0] in ("das", "es") and place == 1) or (
        words[place + 1] in ("das", "es", "dies") and not re.match("d[kj]*n", after)
    )
    return pointed and "n" in after


def _fragment(tags: str, polite: bool) -> bool:
    """No finite verb: "öffnungszeiten samstag", "auto ummelden", "wo parken"."""
    if polite:
        return "n" in tags or "i" in tags
    if tags[-1] == "i":
        return "n" in tags or tags[0] == "w"
    if tags[-1] == "t":
        return tags[0] == "n"
    bare = tags[0] in "nj" and tags[-1] == "n"
    return bare and tags.count("n") > 1 and not re.search("[wro]", tags)
