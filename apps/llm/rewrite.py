"""Understands follow-up questions: each is rewritten into a question that stands alone.

Three kinds depend on what was said before. A question with nothing of its own ("how much is
that?") is asked about the previous topic. A pronoun ("can I do that online?") is replaced by what
it stands for. A piece ("and for a motorcycle?") takes the place of the constituent of its kind in
the previous question. Anything else stands alone already and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from apps.core.focus import Focus, question_focus, tells
from apps.core.passages import Passage
from apps.llm.grammars import grammar
from apps.llm.intents import Intent, classify
from apps.llm.prompt import Exchange
from apps.llm.topics import Kind, Topic, ask_about, plain_action, topic_of, whether

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
# With more words of its own than this, a question with a pronoun speaks for itself.
_OWN_WORDS = 2
_FRAGMENT_WORDS = 6
_SURE = 0.9
# Kinds of constituents that an article can stand before.
_NOUNS = ("vehicle", "paper", "plate")


def rewrite(question: str, history: Sequence[Exchange], language: str) -> str:
    """Return the question that a caller means.

    Args:
        question: What the caller said.
        history: The dialogue so far, oldest first.
        language: ``de`` or ``en``.
    """
    if not history:
        return question
    previous = history[-1]
    if previous.offer and classify(question, language) is Intent.YES:
        return previous.offer
    if classify(question, language) is not Intent.QUESTION:
        return question
    rules = grammar(language)
    text = " ".join(_WORD.findall(question.lower()))
    said = text[_matched(rules.lead, text) :]
    asks_same = rules.same_for.match(said)
    if asks_same is not None:
        rest = said[asks_same.end() :].strip()
        return _about_piece(rest, Focus.OTHER, previous, language) if rest else question
    return _resolved(said, said != text, previous, language) or question


def follows_up(asked: str, full: str, history: Sequence[Exchange], language: str) -> bool:
    """Tell whether a question depends on the dialogue: it was rewritten, or says little by itself.

    Args:
        asked: The caller's words.
        full: The question that they mean.
        history: The dialogue so far.
        language: ``de`` or ``en``.
    """
    if not history:
        return False
    said = _WORD.findall(asked.lower())
    own = [word for word in said if word not in grammar(language).light]
    return full != asked or len(own) <= _OWN_WORDS


def stay_on_topic(
    passages: Sequence[Passage], question: str, history: Sequence[Exchange], language: str
) -> tuple[Passage, ...]:
    """Return passages with the previous answer's entry first where a follow-up is about it.

    "How much is that?" is best answered from the entry that was just told, if it says so and no
    entry was surely found that is about just this.

    Args:
        passages: What retrieval found for the rewritten question, best first.
        question: The rewritten question.
        history: The dialogue so far.
        language: ``de`` or ``en``.
    """
    focus = question_focus(question, language)
    if not history or focus is Focus.OTHER:
        return tuple(passages)
    previous = history[-1]
    topic = _topic(previous, language)
    if not passages or topic is None or topic_of(question, language) != topic:
        return tuple(passages)
    best = passages[0]
    if best.score >= _SURE and question_focus(best.question, language) is focus:
        return tuple(passages)
    for passage in passages:
        if passage.entry_id == previous.entry_id and tells(passage.text, focus, language):
            score = max(passage.score, best.score)
            others = (other for other in passages if other is not passage)
            return (replace(passage, score=score), *others)
    return tuple(passages)


def _matched(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match is not None else 0


def _resolved(said: str, led: bool, previous: Exchange, language: str) -> str:
    """Return the full question, or nothing when what was said stands alone.

    Args:
        said: The caller's words without what leads in.
        led: Whether something led in ("and ...").
        previous: The exchange before.
        language: ``de`` or ``en``.
    """
    rules = grammar(language)
    focus = question_focus(said, language)
    own = [word for word in said.split() if word not in rules.light]
    if not own:
        topic = _topic(previous, language)
        if focus is Focus.OTHER or topic is None:
            return ""
        return ask_about(focus, topic, language)
    piece = _piece(said, led, language)
    if piece:
        return _about_piece(piece, focus, previous, language)
    pronoun = _standing_for_something(said, language)
    if pronoun is not None and len(own) <= _OWN_WORDS:
        return _without_pronoun(said, pronoun, previous, language)
    return ""


def _standing_for_something(said: str, language: str) -> re.Match[str] | None:
    """Return the first pronoun that stands for what was talked about.

    Not the formal subject of "how much does it cost to register a car", not the article of "das
    Auto", not the caller's way to address the office ("haben Sie").
    """
    rules = grammar(language)
    formal = [match.span() for match in rules.formal.finditer(said)]
    nouns = [pattern for kind, pattern in rules.constituents.items() if kind in _NOUNS]
    for pronoun in rules.pronoun.finditer(said):
        at = pronoun.start()
        article = any(
            match is not None and match.end() > pronoun.end()
            for match in (noun.match(said, at) for noun in nouns)
        )
        if not article and not any(start <= at < end for start, end in formal):
            return pronoun
    return None


def _piece(said: str, led: bool, language: str) -> str:
    """Return the constituent that was said with no question of its own around it, or nothing.

    "for a motorcycle", "saturday", and what follows a bare "how much is it": "for a trailer".
    """
    rules = grammar(language)
    found = said.split()
    if len(found) <= _FRAGMENT_WORDS and rules.question.match(said) is None:
        alone = any(pattern.fullmatch(said) for pattern in rules.constituents.values())
        if led or alone or rules.fragment.match(said):
            return said
    for index in range(1, len(found)):
        head, tail = found[:index], " ".join(found[index:])
        if all(word in rules.light for word in head) and _kind(tail, language, whole=True):
            return tail
    return ""


def _kind(piece: str, language: str, whole: bool = False) -> str:
    """Return the kind of constituent that a piece is, or nothing."""
    rules = grammar(language)
    bare = rules.preposition.sub("", piece)
    for kind, pattern in rules.constituents.items():
        if pattern.fullmatch(bare) or pattern.fullmatch(piece):
            return kind
        if not whole and pattern.search(piece):
            return kind
    return ""


def _topic(previous: Exchange, language: str) -> Topic | None:
    """Return what the exchange was about: by the caller's words, else by its entry's."""
    asked = topic_of(previous.question, language)
    entry = topic_of(previous.entry_question, language)
    # A case ("I bought a car from my neighbour") is the caller's tale; the entry's name for it
    # is shorter. Where the caller named an action or a thing, that is more precise.
    if asked is not None and asked.kind is not Kind.CASE:
        return asked
    return entry or asked


def _about_piece(piece: str, focus: Focus, previous: Exchange, language: str) -> str:
    """Ask the previous question again with a piece in its counterpart's place."""
    rules = grammar(language)
    if rules.one.search(piece):
        piece = rules.one.sub(rules.one_becomes, piece)
    kind = _kind(piece, language)
    for base in (previous.question, previous.entry_question):
        changed = _substituted(base, piece, kind, language)
        if not changed:
            continue
        topic = topic_of(changed, language)
        if focus in (Focus.OTHER, question_focus(changed, language)) or topic is None:
            return changed
        return ask_about(focus, topic, language)
    return _about_new_topic(piece, focus, previous, language)


def _substituted(base: str, piece: str, kind: str, language: str) -> str:
    """Return a question with a piece in the place of its first constituent of that kind."""
    rules = grammar(language)
    quality = rules.qualities.search(piece)
    if not kind and quality is not None and rules.vehicle_noun.search(base):
        # "and if it is used?": another quality of the same vehicle.
        if rules.qualities.search(base):
            return rules.qualities.sub(quality.group(), base, count=1)
        return rules.vehicle_noun.sub(lambda m: f"{quality.group()} {m.group()}", base, count=1)
    if not kind:
        return ""
    pattern = rules.constituents[kind]
    new = pattern.search(piece)
    if new is None or pattern.search(base) is None:
        return ""

    def swapped(old: re.Match[str]) -> str:
        # "open on Saturday" and "public holidays" give "open on public holidays".
        lead = rules.preposition.match(old.group())
        keeps = lead is not None and rules.preposition.match(new.group()) is None
        return (lead.group() if lead is not None and keeps else "") + new.group()

    return pattern.sub(swapped, base, count=1)


def _about_new_topic(piece: str, focus: Focus, previous: Exchange, language: str) -> str:
    """Ask what was asked before about something of another kind ("what about parking?")."""
    rules = grammar(language)
    if focus is Focus.OTHER:
        focus = question_focus(previous.question, language)
    topic = _topic(previous, language)
    if _kind(piece, language) and topic is not None and topic.kind is Kind.ACTION:
        # "and on Saturday?", "and online?": the same action under another circumstance.
        wider = Topic(Kind.ACTION, _joined(topic.phrase, piece, language))
        if focus is Focus.OTHER:
            return whether(wider, language)
        return ask_about(focus, wider, language)
    thing = rules.preposition.sub("", piece)
    if focus is Focus.OTHER:
        return rules.new_topic.format(p=thing)
    return ask_about(focus, Topic(Kind.THING, thing), language)


def _joined(phrase: str, piece: str, language: str) -> str:
    """Return an action with a circumstance: in German before the infinitive."""
    if language == "en":
        return f"{phrase} {piece}"
    head, _, verb = phrase.rpartition(" ")
    if head.endswith(" zu") or head == "zu":
        return f"{head.removesuffix('zu').strip()} {piece} zu {verb}".strip()
    return f"{head} {piece} {verb}".strip()


def _without_pronoun(said: str, pronoun: re.Match[str], previous: Exchange, language: str) -> str:
    """Return a question with what its pronoun stands for in the pronoun's place."""
    topic = _topic(previous, language)
    if topic is None:
        return ""
    before, after = said[: pronoun.start()].strip(), said[pronoun.end() :].strip()
    if topic.kind is Kind.CASE:
        return f"{topic.phrase}, {said}?"
    if language == "de":
        return _german_pronoun(before, pronoun.group(), after.split(), topic)
    return _english_pronoun(before, after, topic)


def _english_pronoun(before: str, after: str, topic: Topic) -> str:
    head, _, last = before.rpartition(" ")
    if topic.kind is Kind.THING:
        return f"{before} {topic.phrase} {after}".strip() + "?"
    verb, _, thing = topic.phrase.partition(" ")
    if last in ("do", verb):
        return f"{head} {topic.phrase} {after}".strip() + "?"
    if last == "for":
        return f"{head} to {topic.phrase} {after}".strip() + "?"
    if last in ("is", "does", "will", "would", "can", "has", "was"):
        return f"{before} it {after}".strip() + f" to {topic.phrase}?"
    return f"{before} {thing} {after}".strip() + "?"


def _german_pronoun(before: str, pronoun: str, after: list[str], topic: Topic) -> str:
    """Return the question with its pronoun replaced by the topic."""
    about = pronoun in ("dafür", "dazu", "dabei", "davon", "damit", "hierfür")
    if topic.kind is Kind.THING:
        thing = f"für {topic.phrase}" if about else topic.phrase
        return " ".join([before, thing, *after]).strip() + "?"
    if about:
        return " ".join([before, *after]).strip() + f", um {topic.phrase}?"
    if after and after[-1] in ("machen", "tun", "erledigen"):
        # "kann ich das online machen": the action itself takes the verb's place.
        *parts, action = plain_action(topic.phrase).split()
        return " ".join([before, *parts, *after[:-1], action]) + "?"
    return " ".join([before, "es", *after]).strip() + f", {topic.phrase}?"
