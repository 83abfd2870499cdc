"""Whether a partial transcript is a whole turn: judged on sentences about many subjects.

A slash marks a place where the speaker may pause though the sentence is not finished.
"""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.voice.completeness import Completeness, Expecting, is_backchannel, judge

COMPLETE, OPEN, HANGING = Completeness.COMPLETE, Completeness.OPEN, Completeness.HANGING
KNOWLEDGE = Path(__file__).parents[2] / "docs" / "knowledge" / "kfz"

ENGLISH = """
where can / I / buy a / ticket for / the concert
does the / hotel / have a / swimming pool
I / want to / change my / delivery address
what's the / best / way to / get to the / harbour
my / laptop won't / turn on
how much / does the / annual / membership / cost
could I / get a / refund for / the / broken lamp
is the / restaurant / open on / public holidays
I'd like to / order / two large pizzas
when does / the / next ferry / leave
we'd / like to / reserve / a room for / three nights
can you / give me / the / address of / the clinic
who / should I / talk to about / my / contract
are the / tickets / still available
do you / have / anything / for / left handed children
I've / forgotten / my / password
how do I / connect the / printer to my / computer
there is / water coming from / the / ceiling
because / I / lost my / card I need / a new one
what / should I / do if / the / alarm rings
which / platform / does the / train to / bristol leave from
please / cancel / my order from / yesterday
how long / do I / have to / wait for / a doctor
my / neighbour's / dog / keeps barking
is it / possible to / pay in / instalments
I think / you / charged me twice
can / somebody / come and / look at the / boiler
where / is the / nearest / cash machine
what / time / does the / library / close
I / don't / understand / the / second letter
may I / bring / my / own food
when will / the / technician / arrive
how / often / do I / have to / water the plant
do I / need / a visa for / japan
I'm / calling about / the / flat on / king street
would you / tell me / whether / the course / is full
are / children / allowed in / the / sauna
I / can't / open / the / attachment
why / is my / bill so / high this month
how / many people / can / stay in / the cottage
send me / the / contract by / email please
the / parcel / you sent me / is damaged
can I / speak to / the manager
what / kind of / insurance do / you offer
has the / match / been / cancelled
did / you / receive my / application
what does / the / guided tour / include
I / was / wondering if / you / have any vacancies
if the / shoes / don't / fit can I / return them
my / son needs / a / vaccination for / school
how / can / I / reach your / support team
should I / take the / pills before / breakfast
is / there / a discount for / pensioners
we / have / no / hot water
where do / I / hand in / my tax return
I'd / like to / know how / the / trial works
do / you / repair / old watches
what's / included in / the / ticket price
I / need to / extend my / library loan
can my / daughter / join the / choir
how / far / is the / beach from / the hotel
the / lift / in our / building is / broken
which / wine / do you / recommend with / fish
could / you / repeat the / last number
"""
GERMAN = """
wo kann / ich / karten für / das konzert / kaufen
hat das / hotel / ein / schwimmbad
ich / möchte / meine lieferadresse / ändern
wie komme / ich / am / schnellsten / zum / hafen
mein / laptop / lässt sich nicht / einschalten
wie viel / kostet / die / jährliche / mitgliedschaft
kann ich / für die / kaputte / lampe / mein geld / zurückbekommen
ist das / restaurant / an / feiertagen / geöffnet
ich / würde gern / zwei große / pizzen / bestellen
wann fährt / die / nächste / fähre
wir / möchten / ein zimmer für / drei nächte / reservieren
können sie / mir / die / adresse der / klinik geben
mit / wem / kann ich / über / meinen vertrag / sprechen
sind die / karten / noch / verfügbar
haben / sie / etwas / für / linkshändige / kinder
ich / habe / mein / passwort / vergessen
wie / verbinde / ich / den / drucker mit / meinem / computer
von / der / decke / tropft / wasser
weil / ich / meine karte / verloren / habe brauche / ich / eine neue
was soll / ich / machen wenn / der / alarm / klingelt
von / welchem / gleis / fährt / der zug nach / bremen
bitte / stornieren / sie / meine / bestellung von / gestern
wie lange / muss / ich / auf / einen arzt / warten
der / hund / meines / nachbarn / bellt
ist es / möglich / in / raten / zu / zahlen
ich / glaube / sie / haben / mir / zu viel / berechnet
kann / jemand / vorbeikommen und / nach / der heizung / sehen
wo / ist / der / nächste / geldautomat
um / wie viel / uhr / schließt / die / bibliothek
ich / verstehe / den / zweiten / brief nicht
darf / ich / mein / eigenes / essen / mitbringen
wann / kommt / der / techniker
wie / oft / muss / ich / die pflanze / gießen
brauche / ich / ein / visum für / japan
ich / rufe / wegen / der wohnung in der / königstraße / an
können / sie / mir / sagen ob / der kurs / voll ist
dürfen / kinder / in / die sauna / gehen
ich / kann / den / anhang nicht / öffnen
warum / ist / meine / rechnung so / hoch
wie / viele / leute / können / in dem / ferienhaus / schlafen
schicken / sie / mir / bitte / den / vertrag
das / paket / das / sie mir / geschickt haben / ist / beschädigt
kann / ich / mit / dem chef / sprechen
welche / versicherungen / bieten / sie an
wurde / das / spiel / abgesagt
haben / sie / meine / bewerbung / erhalten
was / kostet / die / führung durch / das schloss
ich / wollte / wissen ob / sie / noch / zimmer / frei haben
wenn / die / schuhe nicht / passen kann / ich / sie / umtauschen
mein / sohn / braucht / eine / impfung für / die schule
wie / kann / ich / ihren / kundendienst / erreichen
soll / ich / die / tabletten vor / dem frühstück / nehmen
gibt / es / eine / ermäßigung für / rentner
wir / haben / kein / warmes wasser mehr
wo / gebe / ich / meine steuererklärung / ab
ich / möchte / wissen / wie / die probezeit / funktioniert
reparieren / sie / auch / alte / uhren
ist / das / mittagessen / im / preis / enthalten
ich / muss / meine / ausleihe / verlängern
kann / meine / tochter / im chor / mitsingen
wie / weit / ist / der strand vom hotel entfernt
der / aufzug / in / unserem / haus ist / kaputt
welchen / wein / empfehlen / sie zum / fisch
könnten / sie / die / letzte / nummer / wiederholen
"""

LEADS_ON = {
    "en": "a the my your our their and or because of for with to at in from if whether is are",
    "de": "ein eine der mein meine ihre und oder weil für mit von zur ob dass wenn ist sind",
}


def sentences(language: str) -> list[list[str]]:
    text = ENGLISH if language == "en" else GERMAN
    return [line.split(" / ") for line in text.strip().splitlines()]


def prefixes(language: str) -> list[str]:
    return [
        " ".join(parts[:length]) for parts in sentences(language) for length in range(1, len(parts))
    ]


def known_questions(language: str) -> list[str]:
    lines = [line for path in (KNOWLEDGE / language).glob("*.md") for line in path.open()]
    return [line[2:].strip() for line in lines if line.startswith("- ")]


def share(texts: list[str], language: str, verdict: Completeness) -> float:
    return Counter(judge(text, language) for text in texts)[verdict] / len(texts)


@pytest.mark.parametrize("language", ["de", "en"])
def test_most_whole_sentences_are_complete(language):
    whole = [" ".join(parts) for parts in sentences(language)]
    assert len(whole) >= 60
    assert share(whole, language, COMPLETE) >= 0.9


@pytest.mark.parametrize("language", ["de", "en"])
def test_a_pause_inside_a_sentence_is_hardly_ever_taken_for_its_end(language):
    assert len(prefixes(language)) > 200
    assert share(prefixes(language), language, COMPLETE) <= 0.015


@pytest.mark.parametrize("language", ["de", "en"])
def test_callers_questions_to_an_office_are_complete(language):
    # The German phrases are as callers speak, many without a verb ("neu hier, Ummeldung vom Auto"):
    # what is open waits 0.6 s instead of 0.2.
    complete, hanging = {"en": (0.84, 0.03), "de": (0.7, 0.05)}[language]
    assert share(known_questions(language), language, COMPLETE) >= complete
    assert share(known_questions(language), language, HANGING) <= hanging


@pytest.mark.parametrize("language", ["de", "en"])
def test_what_ends_in_a_word_that_leads_on_hangs(language):
    leading = set(LEADS_ON[language].split())
    rng = random.Random(3)
    ends = []
    for question in rng.sample(known_questions(language), 300):
        words = question.lower().split()
        ends += [words[: place + 1] for place, word in enumerate(words[:-1]) if word in leading]
    assert len(ends) > 200
    hanging = share([" ".join(words) for words in ends], language, HANGING)
    assert hanging >= 0.97


@pytest.mark.parametrize("language", ["de", "en"])
def test_what_is_cut_before_a_word_that_leads_on_mostly_waits(language):
    leading = set(LEADS_ON[language].split())
    cut = []
    for question in random.Random(4).sample(known_questions(language), 300):
        words = question.lower().split()
        cut += [words[:place] for place, word in enumerate(words) if place and word in leading]
    assert share([" ".join(words) for words in cut], language, COMPLETE) <= 0.35


def misheard(text: str, vocabulary: list[str], rng: random.Random) -> str:
    """The text with 15 % of its words replaced by others."""
    words = text.split()
    return " ".join(rng.choice(vocabulary) if rng.random() < 0.15 else word for word in words)


@pytest.mark.parametrize("language", ["de", "en"])
def test_misheard_words_seldom_turn_a_verdict_round(language):
    rng = random.Random(5)
    whole = [" ".join(parts) for parts in sentences(language)] * 5
    vocabulary = " ".join(whole).split()
    heard = [misheard(text, vocabulary, rng) for text in whole]
    assert share(heard, language, COMPLETE) >= 0.65
    broken = [misheard(text, vocabulary, rng) for text in prefixes(language) * 5]
    assert share(broken, language, COMPLETE) <= 0.05


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("because my", "en"),
        ("my number is oh one", "en"),
        ("my number is", "en"),
        ("the plate is four seven", "en"),
        ("it's cheaper than", "en"),
        ("and then I", "en"),
        ("I would like to uh", "en"),
        ("oh one seven two", "en"),
        ("meine nummer ist", "de"),
        ("meine Nummer ist null eins", "de"),
        ("null eins sieben", "de"),
        ("das kennzeichen lautet vier", "de"),
        ("ich möchte", "de"),
        ("weil mein", "de"),
        ("und dann", "de"),
        ("das ist teurer als", "de"),
        ("ich wollte ähm", "de"),
    ],
)
def test_what_hangs(text, language):
    assert judge(text, language) is HANGING


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "en"),
        ("I have a question", "en"),
        ("can you tell me", "en"),
        ("if I miss my train", "en"),
        ("hello I have a problem", "en"),
        ("ich hätte da eine frage", "de"),
        ("ich möchte mein auto", "de"),
        ("wie melde ich mein auto", "de"),
        ("guten tag ich habe eine frage", "de"),
        ("wenn ich den zug verpasse", "de"),
    ],
)
def test_what_may_go_on_stays_open(text, language):
    assert judge(text, language) is OPEN


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", "en"),
        ("opening hours please", "en"),
        ("thank you goodbye", "en"),
        ("that's all thanks", "en"),
        ("yes please", "en"),
        ("Well, what are your opening hours?", "en"),
        ("hallo", "de"),
        ("danke auf wiederhören", "de"),
        ("die öffnungszeiten bitte", "de"),
        ("nein danke", "de"),
        ("ich möchte mein auto abmelden", "de"),
        ("Also, wie lange dauert die Bearbeitung?", "de"),
        ("ja", "de"),
        ("nein", "de"),
    ],
)
def test_greetings_requests_and_short_answers_are_complete(text, language):
    assert judge(text, language) is COMPLETE


@pytest.mark.parametrize(
    ("text", "language", "verdict"),
    [
        ("yes", "en", COMPLETE),
        ("yes that's right", "en", COMPLETE),
        ("no but", "en", HANGING),
        ("nee", "de", COMPLETE),
        ("ja gerne", "de", COMPLETE),
        ("ja aber", "de", HANGING),
    ],
)
def test_answers_to_a_yes_no_question(text, language, verdict):
    assert judge(text, language, Expecting.YES_NO) is verdict


@pytest.mark.parametrize(
    ("text", "language", "verdict"),
    [
        ("4", "en", COMPLETE),
        ("four stars", "en", COMPLETE),
        ("I'd give it a four", "en", COMPLETE),
        ("five out of five", "en", COMPLETE),
        ("no rating", "en", COMPLETE),
        ("I would give it a", "en", HANGING),
        ("four out of", "en", HANGING),
        ("vier", "de", COMPLETE),
        ("ich gebe eine drei", "de", COMPLETE),
        ("ein stern", "de", COMPLETE),
        ("fünf von fünf sternen", "de", COMPLETE),
        ("keine bewertung", "de", COMPLETE),
        ("ich gebe eine", "de", HANGING),
    ],
)
def test_answers_to_the_rating_question(text, language, verdict):
    assert judge(text, language, Expecting.RATING) is verdict


@pytest.mark.parametrize(
    ("text", "language", "digits", "verdict"),
    [
        ("1 2 3 4", "en", 4, COMPLETE),
        ("1234", "en", 4, COMPLETE),
        ("one two three", "en", 4, HANGING),
        ("it's one two double four", "en", 4, COMPLETE),
        ("one two double", "en", 4, HANGING),
        ("twenty three four five please", "en", 4, COMPLETE),
        ("oh one seven", "en", 0, HANGING),
        ("null eins sieben", "de", 3, COMPLETE),
        ("null eins", "de", 3, HANGING),
        ("zwanzig eins", "de", 3, COMPLETE),
        ("drei und zwanzig", "de", 2, COMPLETE),
        ("dreiundzwanzig null", "de", 3, COMPLETE),
        ("meine nummer ist zwo eins", "de", 4, HANGING),
        ("ich glaube die ist", "de", 4, HANGING),
    ],
)
def test_a_dictated_number_is_complete_with_its_last_digit(text, language, digits, verdict):
    assert judge(text, language, Expecting.DIGITS, digits) is verdict


@pytest.mark.parametrize("language", ["de", "en"])
def test_digits_hang_until_the_last_and_never_go_back(language):
    spoken = {"en": "one two three four five six", "de": "eins zwei drei vier fünf"}
    words = spoken[language].split()
    verdicts = [
        judge(" ".join(words[:length]), language, Expecting.DIGITS, len(words))
        for length in range(1, len(words) + 1)
    ]
    assert verdicts == [HANGING] * (len(words) - 1) + [COMPLETE]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *((text, "en") for text in ("mhm", "uh huh", "yeah yeah", "okay", "I see", "Right.")),
        *((text, "de") for text in ("mhm", "ja ja", "genau", "verstehe", "aha okay", "Ach so.")),
    ],
)
def test_backchannels_want_the_assistant_to_go_on(text, language):
    assert is_backchannel(text, language)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *((text, "en") for text in ("", "no", "stop", "okay but", "right how much is it", "wait")),
        *((text, "de") for text in ("", "nein", "moment", "ja aber", "genau und was kostet das")),
    ],
)
def test_what_objects_or_asks_is_no_backchannel(text, language):
    assert not is_backchannel(text, language)


WORDS = sorted({word for text in (ENGLISH, GERMAN) for word in text.replace("/", " ").split()})
HEARD = st.one_of(st.text(max_size=80), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))


@given(HEARD, st.sampled_from(["de", "en", "de-AT", "fr"]), st.sampled_from(Expecting))
def test_whatever_was_heard_is_judged_and_case_and_marks_do_not_matter(text, language, expecting):
    verdict = judge(text, language, expecting, 4)
    assert verdict is judge(f"  {text}  ", language, expecting, 4)
    if text.isascii():
        assert verdict is judge(text.lower() + " ... ?", language, expecting, 4)
    assert is_backchannel(text, language) in (True, False)


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), st.sampled_from(["de", "en"]))
def test_a_conjunction_at_the_end_always_hangs(text, language):
    last = {"en": "because", "de": "weil"}[language]
    assert judge(f"{text} {last}", language) is HANGING


def test_a_verdict_takes_microseconds():
    text = {
        "en": "hello I would like to know how I can change my delivery address because the parcel "
        "was sent to my old flat",
        "de": "guten tag ich wollte gern wissen wie ich meine lieferadresse ändern kann weil das "
        "paket an meine alte wohnung geschickt wurde",
    }
    for language, sentence in text.items():
        judge(sentence, language)
        times = []
        for _ in range(200):
            began = time.perf_counter()
            judge(sentence, language)
            times.append(time.perf_counter() - began)
        # The best of many: what the work costs when nobody else has the processor.
        assert min(times) < 500e-6


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("no wait what about a motorcycle", "en"),
        ("hold on where can i park", "en"),
        ("moment mal wo kann ich parken", "de"),
        ("stopp ich möchte mein auto abmelden", "de"),
    ],
)
def test_what_is_said_to_stop_somebody_is_no_part_of_the_question(text, language):
    assert judge(text, language) is Completeness.COMPLETE
