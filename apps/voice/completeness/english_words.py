"""English word classes: the closed ones whole, of the open ones what tells a clause's end."""

from apps.core.words import fold
from apps.voice.completeness.lexicon import words as words_of

# One letter a class, so that a clause is a string and a rule about it a regular expression.
_CLOSED = {
    # determiners and possessives: a noun is still to come
    "d": "a an the my your his her our their its every each some any no another these those which "
    "whose several many few both",
    "p": "of for with at on in by from into onto over under between through during without within "
    "near behind against until till toward towards across per via about after before upon off out "
    "regarding concerning since around beside besides despite",
    "c": "and or but nor plus",
    "s": "because if whether although though unless while when whenever once as than so",
    "t": "to",
    "w": "what who whom where why how",
    "r": "i you he she it we they there this that someone somebody anybody anyone everyone "
    "everybody nobody something anything nothing everything one mine yours",
    "o": "me him them us myself yourself himself herself ourselves themselves",
    "b": "am is are was were be been being ain't",
    "h": "have has had having",
    "x": "do does did",
    "m": "can could will would shall should may might must gonna wanna gotta",
    # adverbs that may end a sentence
    "e": "today tomorrow yesterday tonight now here again then later soon already yet online "
    "anymore already instead abroad downtown away back down up together alone too well "
    "anyway well early late monday tuesday wednesday thursday friday saturday sunday saturdays "
    "sundays mondays weekends abroad home twice exactly not maybe probably currently ever "
    "usually always recently actually still never sometimes directly personally please",
    # words that lean on what follows
    "k": "very quite really just also only even more most less such rather almost nearly "
    "too-much extremely mr mrs dr saint best worst",
    "n": "building booking meeting parking training heating warning ceiling evening morning "
    "wedding "
    "painting spelling hearing same deed",
    "z": "uh um er erm uhm hmm",
}
_ADJECTIVES = """new welcome old used big small good bad high low long short first second third last
next other own different open closed free full empty late early public private local foreign
german english french british european american safe ready busy expensive cheap available possible
impossible necessary required valid invalid right wrong broken electronic electric digital medical
legal official temporary permanent normal regular special particular certain whole main important
possible able allowed due sick ill pregnant healthy happy unhappy sure correct dead alive wet dry
hot cold warm cool clean dirty loud quiet fast slow quick red blue green black white yellow brown
grey gray young adult senior single married divorced international national monthly weekly daily
yearly annual additional extra total current previous former following nearest closest main
general basic simple easy difficult hard real whole entire proper various such enough large huge
tiny little great nice fine okay wide narrow heavy light strong weak deep urgent severe mandatory
compulsory optional accessible refundable eligible responsible insured covered included damaged
lost stolen expired missing overdue delayed late booked married registered covered vegan
vegetarian gluten-free halal kosher parked rented leased blocked stuck locked interested worried
sorry afraid unsure further cheaper faster better worse older newer bigger smaller"""
# Verbs that leave their hearer waiting when nothing follows.
_TRANSITIVE = """need want get bring make take change report renew cancel book buy sell send
give find show tell use put keep lose fix replace say provide submit include require cover contact
receive mean own transfer update remove add attach fill upload hire share reach hit hurt scratch
bump crash dent damage cause steal know ask wonder think guess hope hear explain try let help like
love hate prefer expect believe suggest recommend describe mention confirm forget remember insure
file claim inform notify choose pick return order reserve request obtain borrow lend repair
schedule reschedule postpone collect deliver complete carry hold raise follow discuss enter
connect reset activate block deactivate convert exchange install create delete mount extend avoid
prove accept reject deny offer enjoy miss become seem feel look wear wash plant catch track bring
see have allow produce go come live stay move belong depend sort arrange organise organize
organize claim lock unlock deregister register end finish start stop download sign print turn
break exchange swap fit re-register withdraw deposit join understand paint clean cut pull push
throw drag adjust measure calculate compare consider control design develop discover divide employ
encourage examine feed guess hide identify ignore improve introduce invite mention obtain perform
prepare prevent protect refuse refund reject remind replace represent reveal review settle solve
spend spell stream supply support test touch translate treat update validate verify waste water
weigh wrap operate charge process"""
_INTRANSITIVE = """pay park wait call begin close open travel sleep work happen arrive leave land
depart drive ride walk run fly swim eat drink cook cost last expire apply speak talk listen write
read study learn breathe sit stand fall die cry laugh play sing dance smoke shop vote appear
disappear check die count matter proceed continue fit qualify differ depend belong exist occur
fail succeed pass win load respond reply complain worry relax meet enrol enroll subscribe
unsubscribe log login logout visit tow serve increase decrease agree disagree answer refuel
recycle tip ring bark leak drip smell squeak flicker beep freeze melt boil rain snow grow rise
sink slip scream shout smile vary stink react recover retire resign explode crackle overheat
happen"""
_DITRANSITIVE = "tell give send show bring offer get lend teach charge"
# Form → base, for the forms that no rule makes.
_IRREGULAR = """got get|gotten get|brought bring|made make|took take|taken take|bought
buy|sold sell| sent send|gave give|given give|found find|shown show|told tell|kept keep|lost
lose|said say| meant mean|stole steal|stolen steal|knew know|known know|thought think|heard
hear|let let| forgot forget|forgotten forget|chose choose|chosen choose|lent lend|held hold|became
become| felt feel|wore wear|caught catch|saw see|seen see|went go|gone go|came come|paid pay|began
begin| begun begin|left leave|drove drive|driven drive|rode ride|ran run|flew fly|swam swim|ate
eat| eaten eat|drank drink|spoke speak|spoken speak|wrote write|written write|slept sleep|sat sit|
stood stand|fell fall|fallen fall|sang sing|broke break|broken break|met meet|won win|done do|
doing do|put put|hit hit|hurt hurt|cost cost|read read|understood understand|taught teach|
withdrew withdraw|cut cut|dying die|lying lie"""
# Nouns that announce the real question.
ANNOUNCING = words_of(
    "question questions problem problems issue request difference something thing enquiry inquiry "
    "query couple kind sort type lot bit anything"
)
# They want a complement even where an object pronoun stands: "can you connect me".
LEADING = words_of("connect transfer put inform remind")
# "I'm calling": about what?
CONTINUING = words_of(
    "calling phoning ringing wondering looking asking trying thinking writing hoping"
)
# Verb and particle: the particle closes what as a preposition would go on.
PHRASAL = frozenset(
    (verb, particle)
    for particle, verbs in {
        "off": "go goes going went turn switch drop take get cut call send log fall fell",
        "on": "go going carry turn switch hold log move put moved try hang goes",
        "out": "find found run ran check sell sold fill move work go log print figure try help get",
        "in": "log sign check move come fill hand let get send bring put stop pop",
        "over": "take come hand move start",
        "through": "get put go come",
        "by": "drop stop pass come",
        "around": "look turn come",
        "about": "come",
    }.items()
    for verb in verbs.split()
)
# "I think you": the clause they introduce has only its subject.
THINKING = words_of("think guess hope believe know said suppose heard")
# Adjectives that are verbs after "can I".
BOTH = words_of("open clean empty free correct dry warm cool lock")
# Phrasal verbs that still want an object: "must I hand in".
TAKING = words_of("hand fill send bring put take find figure print switch drop cut get carry")
# With "up" they want nothing more: "if I don't show up".
RISING = words_of("show turn give wake hang sit grow break speak hurry")
NEXT = words_of("next last first deadline latest earliest closing opening nearest")
# With no place or direction they are half said, but for "where do I go".
MOTION = words_of(
    "go come live stay move belong goes went going lives came moving register start stop end "
    "sign print download"
)
# What "to" and a verb may follow without a purpose being meant.
LINKING = words_of(
    "need want have like try going supposed used hope plan wish love get seem continue begin "
    "forget remember allowed required able needs wants has had planning trying got"
)
DEGREES = words_of("much many long far old big high late early often soon")


def _forms(base: str) -> list[str]:
    """A regular verb's forms; a doubled consonant is listed beside the plain one."""
    if base.endswith("e"):
        return [base, base + "s", base + "d", base[:-1] + "ing"]
    if base.endswith("y") and base[-2] not in "aeiou":
        return [base, base[:-1] + "ies", base[:-1] + "ied", base + "ing"]
    plural = base + ("es" if base.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
    double = base + base[-1]
    return [base, plural, base + "ed", base + "ing", double + "ed", double + "ing"]


def _classes() -> dict[str, str]:
    """Word → class; what is listed later wins."""
    table: dict[str, str] = dict.fromkeys(_ADJECTIVES.split(), "a")
    for kind, verbs in (("i", _INTRANSITIVE), ("v", _TRANSITIVE)):
        for base in verbs.split():
            table.update((form, kind) for form in _forms(base) if table.get(form) != "a")
    for pair in _IRREGULAR.replace("\n", " ").split("|"):
        form, base = pair.split()
        table[form] = table.get(base, "i")
    for kind, words in _CLOSED.items():
        table.update((word, kind) for word in words.split())
    return {fold(word): kind for word, kind in table.items()}


CLASSES = _classes()
BASES = frozenset((_INTRANSITIVE + " " + _TRANSITIVE).split())
DITRANSITIVE = frozenset(
    form
    for form in CLASSES
    if form in _DITRANSITIVE.split()
    or any(form in _forms(base) for base in _DITRANSITIVE.split())
    or any(
        pair.split()[0] == form and pair.split()[1] in _DITRANSITIVE.split()
        for pair in _IRREGULAR.replace("\n", " ").split("|")
    )
)
