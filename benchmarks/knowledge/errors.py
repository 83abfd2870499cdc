"""Damages text as a recogniser does: words heard as others, lost, and put in.

Errors are placed over a whole set at a fixed share of its words, by a seeded generator, so the same
set is damaged alike on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from random import Random

from apps.core.words import fold, words
from apps.knowledge.terms import lexicon, sound_key

WORD_ERROR_RATE = 0.15
# Of all errors; the rest are substitutions, which prevail in conversational speech.
DELETED, INSERTED = 0.2, 0.15
# So many of the nearest-sounding words stand in for a word, one of them by chance.
_ALIKE = 3
# What neither the knowledge base nor its stop words hold.
_GENERAL = {
    "en": (
        "all again back bad ball band bank base bed beer better big bill bird black blue boat body"
        " book box boy bread break bus call cat chair child clear close cold come corner cup cut"
        " dad deal dinner dog door down dream drink ear eat face fair far fast feel field film fire"
        " fish five flat floor food foot four free full game girl glass go good green guess hair"
        " half hand hard hat head hear heart heat high hill hit hold home hope hot hour house job"
        " kind king lake land large last late law lead leaf leave less light line live load long"
        " look love low mail main man map mean meat meet milk mind miss money moon more most mouth"
        " name near night nine noise nose note now ocean old open paint pan part pass past place"
        " plan plane play pool poor rain reach read red rent rest rich ride ring road rock room"
        " sad safe sale salt sand save sea seat see sell send set shop short show side sign sing"
        " sit sleep small snow song soon sort star stay stone story sun table take talk tall team"
        " ten test thing time tool top town tree trip true turn two type wait walk wall warm water"
        " way weak wear week weight wide wife wild win wind wine wish wood word work year young"
    ),
    "de": (
        "abend acht alle alt anfang angst apfel arm arzt auge bach bad bahn ball bank bauch baum"
        " bein berg bett bier bild blatt blau boden boot brot bruder buch bunt burg chef dach dorf"
        " dunkel ecke ei eis ende erde essen fahrt fall farbe fass feld fell fenster fest feuer"
        " film finger fisch flasche fluss frage frau frei freund frost fuss gabel gang garten gast"
        " gern glas gleich glück gold gras gross grund gut haar hafen hals hand hart haus haut heft"
        " heiss hell herr herz hier hof hose hund hut jahr jung kalt karte kasse katze kind kirche"
        " klar klein koch kopf korb kraft kuchen kurz lampe land lang laut leben leer leicht licht"
        " lied links luft lust macht mal mann markt maus meer mehl mensch milch mond mund mutter"
        " nacht nah name nass nase nest neun oft ohr ort park pass pferd platz post rad rand raum"
        " recht regen reich reise ring rock rose rot ruhe rund saal sache salz sand schaf schiff"
        " schnell schuh schule schwer see seite sieben sohn sonne spiel stadt stand stein stern"
        " stuhl stunde tag tal tasche teller tief tier tisch tochter tor traum tuch turm uhr vater"
        " viel vogel voll wahl wald wand warm wasser weg wein weit welt wind wolke wort wunsch zahl"
        " zahn zeit zelt ziel zimmer zucker zug"
    ),
}


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the least number of insertions, deletions and substitutions from a to b."""
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1]


def word_error_rate(said: Iterable[str], heard: Iterable[str]) -> float:
    """Return the word errors of a set of texts, per word that was said."""
    errors = total = 0
    for text, other in zip(said, heard, strict=True):
        errors += distance(words(text), words(other))
        total += len(words(text))
    return errors / total


class Mishearing:
    """A recogniser's errors in one language.

    Args:
        texts: Texts whose words it may put in another's place.
        language: ``de`` or ``en``.
    """

    def __init__(self, texts: Iterable[str], language: str) -> None:
        general = {*fold(_GENERAL[language]).split(), *lexicon(language).stop_words}
        known = {word for text in texts for word in words(text)} | general
        self._common = sorted(general)
        self._vocabulary = [(word, sound_key(word, language)) for word in sorted(known)]
        self._language = language
        self._nearest = cache(self._find_nearest)

    def damage(self, texts: Sequence[str], seed: int) -> list[str]:
        """Return the texts with errors in ``WORD_ERROR_RATE`` of all their words.

        Args:
            texts: What was said.
            seed: The same seed makes the same errors.
        """
        rng = Random(f"{self._language} {seed}")
        said = [words(text) for text in texts]
        places = [(i, j) for i, found in enumerate(said) for j in range(len(found))]
        wrong = set(rng.sample(places, round(WORD_ERROR_RATE * len(places))))
        heard: list[list[str]] = []
        for i, found in enumerate(said):
            heard.append([])
            for j, word in enumerate(found):
                heard[-1] += self._misheard(word, rng) if (i, j) in wrong else [word]
        return [" ".join(found) for found in heard]

    def _misheard(self, word: str, rng: Random) -> list[str]:
        kind = rng.random()
        if kind < DELETED:
            return []
        if kind < DELETED + INSERTED:
            return [word, rng.choice(self._common)]
        return [rng.choice(self._nearest(word))]

    def _find_nearest(self, word: str) -> list[str]:
        """Return the words that sound most like a word, by the sounds first, then the letters."""
        key = sound_key(word, self._language)
        apart = sorted(
            (2 * distance(key, other_key) + distance(word, other), other)
            for other, other_key in self._vocabulary
            if other != word and abs(len(other) - len(word)) <= _ALIKE
        )
        return [other for _, other in apart[:_ALIKE]] or self._common
