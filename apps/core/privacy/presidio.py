"""Presidio as a detector: persons by a spaCy model, numbers by its recognisers. A thin shell.

It loads what the spec names and nothing else: Presidio's own loading would download a model that
is missing, so it is never asked to load one. Importing it takes seconds; see ``process.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from apps.core.errors import ConfigError
from apps.core.privacy.names import names_in, windows
from apps.core.privacy.spec import LANGUAGES, DetectorSpec, check
from apps.core.redaction import Finding, Kind
from apps.core.redaction.public import bare

PERSON = "PERSON"
_PERSONS = frozenset({"PER", "PERSON"})
"""What models call persons: those trained on WikiNER, and those on OntoNotes."""
_SURE = 0.65
"""From this score on a finding counts: a form without a check digit needs a word for it nearby."""
_UNUSED = ("tagger", "morphologizer", "parser", "senter", "attribute_ruler", "lemmatizer")
_COMPONENT = "tom_persons"


class PresidioDetector:
    """Finds names, and numbers that the built-in patterns do not know.

    Args:
        spec: Which models there are.

    Raises:
        ConfigError: Presidio or a model is missing, or a model knows no persons.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        check(spec)
        # No GPU is looked for, and no torch imported: small texts gain nothing by it.
        os.environ.setdefault("PRESIDIO_DEVICE", "cpu")
        self._engine = _engine(spec)
        self._entities = {
            language: self._engine.get_supported_entities(language) for language in LANGUAGES
        }

    def find(self, text: str, language: str) -> list[Finding]:
        """Return what is personal in a text.

        Args:
            text: Of any length.
            language: ``de`` or ``en``; anything else is looked at as both.
        """
        languages = (language,) if language in LANGUAGES else LANGUAGES
        return [
            finding
            for at, piece in windows(text)
            for one in languages
            for finding in self._in_piece(text, at, piece, one)
        ]

    def _in_piece(self, text: str, at: int, piece: str, language: str) -> Iterator[Finding]:
        results = self._engine.analyze(
            piece, language, entities=self._entities[language], score_threshold=_SURE
        )
        for result in results:
            start, end = at + result.start, at + result.end
            if result.entity_type == PERSON:
                yield from names_in(text, start, end)
            else:
                yield Finding(Kind.ID, start, end, bare(text[start:end]))


def _engine(spec: DetectorSpec) -> Any:
    """Return Presidio's analyser, with all that it might load itself given to it."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

    models = [{"lang_code": one, "model_name": spec.models.get(one, "")} for one in LANGUAGES]
    mapping = dict.fromkeys(_PERSONS, PERSON)
    nlp = SpacyNlpEngine(models, NerModelConfiguration(model_to_presidio_entity_mapping=mapping))
    # With this it counts as loaded: its load() downloads models that are not there.
    nlp.nlp = {language: _pipeline(language, spec.models.get(language)) for language in LANGUAGES}
    registry = RecognizerRegistry(
        recognizers=list(_recognizers(spec.models)), supported_languages=list(LANGUAGES)
    )
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=nlp,
        supported_languages=list(LANGUAGES),
        # "ip" is no word for an address where it stands in "Beispiel 1.2.3.4".
        context_aware_enhancer=LemmaContextAwareEnhancer(context_matching_mode="whole_word"),
    )


def _recognizers(models: Iterable[str]) -> Iterator[Any]:
    """Yield the recognisers that find something and tear no ordinary text apart.

    Left out is what the built-in patterns find already (mail, phone, IBAN, cards, plates, tax and
    insurance numbers); what an office's texts are made of (dates, places, postcodes, web
    addresses, registers of companies); bare digits that many another number looks like; and its
    German papers, whose ninth sign it takes for a check digit that only their tenth is.
    """
    from presidio_analyzer import predefined_recognizers as known

    for language in LANGUAGES:
        yield known.CryptoRecognizer(supported_language=language)
        yield known.IpRecognizer(supported_language=language)
        yield known.MacAddressRecognizer(supported_language=language)
    # Its own words for it are groups of words, and it looks for single ones.
    yield known.UkDrivingLicenceRecognizer(context=["licence", "license", "driving", "dvla"])
    yield known.UsMbiRecognizer()
    for language in models:
        yield known.SpacyRecognizer(supported_language=language, supported_entities=[PERSON])


def _pipeline(language: str, model: str | None) -> Any:
    """Return what divides a text of a language into words, and finds persons where it can.

    Raises:
        ConfigError: The model cannot be loaded, or knows no persons.
    """
    import spacy

    _register(spacy)
    if model is None:
        nlp = spacy.blank(language)
    else:
        nlp = _loaded(spacy, model)
        labels = {label for labels in nlp.pipe_labels.values() for label in labels}
        if labels.isdisjoint(_PERSONS):
            raise ConfigError(
                f"The spaCy model {model!r} knows no persons.",
                hint=f"It needs a component that finds {' or '.join(sorted(_PERSONS))}.",
            )
    nlp.add_pipe(_COMPONENT, last=True)
    return nlp


def _loaded(spacy: Any, model: str) -> Any:
    try:
        return spacy.load(model, exclude=_UNUSED)
    except Exception as error:  # spaCy raises whatever its parts do
        raise ConfigError(
            f"The spaCy model {model!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint="Is it made for the spaCy that is installed? python -m spacy validate",
        ) from error


def _register(spacy: Any) -> None:
    """Make the last component known: it leaves persons alone of what a model finds.

    Presidio looks for words nearby among lemmas, which nothing else makes here.
    """

    @spacy.Language.component(_COMPONENT)  # type: ignore[untyped-decorator]
    def persons(doc: Any) -> Any:
        doc.ents = [one for one in doc.ents if one.label_ in _PERSONS]
        for token in doc:
            token.lemma_ = token.lower_
        return doc
