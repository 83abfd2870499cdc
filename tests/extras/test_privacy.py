"""Presidio itself, on tiny models made here. Needs the ``privacy`` extra: make test-privacy."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("presidio_analyzer", reason="make test-privacy installs it")

import spacy
from spacy.training import Example

from apps.cli import app
from apps.core.errors import ConfigError, RedactionFailed
from apps.core.privacy import DetectorSpec, check, fingerprint
from apps.core.privacy.presidio import PresidioDetector
from apps.core.privacy.process import ProcessDetector
from apps.core.privacy.redacting import redact
from apps.core.redaction import Kind, PublicFacts
from apps.core.resources import resource
from apps.knowledge.documents.limits import MIB, Limits
from apps.knowledge.documents.parsing import ProcessParser
from apps.knowledge.documents.reading import Task
from apps.knowledge.entries import load_entries
from apps.rl.adapters.continuous.screen import Screen, ScreenRules, State
from apps.rl.adapters.examples import Message, TrainingExample
from apps.running_privacy import open_redactor
from apps.settings import Settings, load_settings

GIVEN = ("Petra", "Max", "Eva", "Jonas", "Miriam", "Karl", "Lea", "Anton", "Nora", "Felix", "Clara")
FAMILY = (
    "Kern",
    "Mustermann",
    "Vogt",
    "Brandt",
    "Albers",
    "Ritter",
    "Hahn",
    "Busch",
    "Torfstecher",
)
SENTENCES = {
    "de": (
        "Bitte wenden Sie sich an Frau {}.",
        "Herr {} ist montags im Amt.",
        "Zuständig ist {}, Zimmer 12.",
        "Ihr Ansprechpartner {} berät Sie gern.",
        "{} hat den Antrag gestellt.",
        "Ich heiße {} und brauche einen Ausweis.",
    ),
    "en": (
        "Please ask {} at the counter.",
        "{} is in the office on Mondays.",
        "The form is with {}, room 12.",
        "Your contact {} will help you.",
        "My name is {} and I need a passport.",
        "Mr {} has applied for it.",
    ),
}
OTHERS = {
    "de": (
        "Die Gebühr beträgt 30 Euro.",
        "Der Personalausweis liegt in Sonnenfurt bereit.",
        "Das Amt hat montags bis freitags geöffnet.",
        "Für die Zulassung brauchen Sie eine Vollmacht.",
        "In der Lindenstraße ist das Bürgerbüro.",
        "Das Formular erhalten Sie im Rathaus.",
    ),
    "en": (
        "The fee is 30 euros.",
        "The passport is kept in Sonnenfurt.",
        "The office is open from Monday to Friday.",
        "You need a letter of authority for the registration.",
        "The citizens' office is in Linden Street.",
        "You get the form at the town hall.",
    ),
}
LABELS = {"de": "PER", "en": "PERSON"}
# Of names that no model has seen.
UNSEEN = {"de": "Frau Sibylle Torwald", "en": "Sibyl Torwald"}


def trained(language: str, folder: Path) -> str:
    """Train a model on made sentences, in seconds, and return its folder."""
    nlp, chance = spacy.blank(language), random.Random(1)
    examples = []
    for sentence, given in product(SENTENCES[language], GIVEN):
        name = chance.choice((f"{given} {chance.choice(FAMILY)}", chance.choice(FAMILY)))
        at = sentence.index("{}")
        text = sentence.format(name)
        entity = (at, at + len(name), LABELS[language])
        examples.append(Example.from_dict(nlp.make_doc(text), {"entities": [entity]}))
    examples += [Example.from_dict(nlp.make_doc(t), {"entities": []}) for t in OTHERS[language] * 4]
    nlp.add_pipe("ner").add_label(LABELS[language])
    spacy.util.fix_random_seed(1)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(12):
        chance.shuffle(examples)
        for batch in spacy.util.minibatch(examples, 8):
            nlp.update(batch, sgd=optimizer, drop=0.2)
    nlp.to_disk(folder)
    return str(folder)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {language: trained(language, folder / language) for language in SENTENCES}


@pytest.fixture(scope="module")
def knowing(models: dict[str, str]) -> PresidioDetector:
    """A detector that has models."""
    return PresidioDetector(DetectorSpec(models))


@pytest.fixture(scope="module")
def plain() -> PresidioDetector:
    """A detector without models."""
    return PresidioDetector(DetectorSpec())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object, **options: object) -> None:
        raise AssertionError(f"something wanted to download {arguments}")

    monkeypatch.setattr("socket.socket.connect", refused)
    monkeypatch.setattr("spacy.cli.download", refused)
    monkeypatch.setattr("spacy.cli.download.download", refused, raising=False)


class TestNumbers:
    @pytest.mark.parametrize(
        ("language", "text", "clean"),
        [
            ("de", "Die IP 192.168.17.4 war es.", "Die IP [id] war es."),
            ("de", "MAC 00-1A-2B-3C-4D-5E", "MAC [id]"),
            ("de", "an 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "an [id]"),
            ("en", "the MAC address 00:1A:2B:3C:4D:5E", "the MAC address [id]"),
            ("en", "driving licence MORGA753116SM9IJ", "driving licence [id]"),
            ("en", "her Medicare card 1EG4-TE5-MK73", "her Medicare card [id]"),
            ("en", "pay to 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "pay to [id]"),
        ],
    )
    def test_what_has_a_form_of_its_own_is_found(self, plain, language, text, clean):
        assert redact(text, plain, language).text == clean

    @pytest.mark.parametrize(
        "text",
        [
            "Siehe Abschnitt 1.2.3.4 der Satzung vom 01.02.2024 um 10:30 Uhr.",
            "Version 10.20.30.40 kostet 30,60 Euro, § 12 Abs. 3 StVG, DIN 476.",
            "www.sonnenfurt.example und 61440 Sonnenfurt, Lindenstraße 5, HRB 4711.",
            "Formular K12345674 und Artikel C01X00T41 liegen aus.",
            "On Monday at 10:30 in Springfield, section 1.2.3.4, form MORGA75311.",
        ],
    )
    def test_dates_places_laws_and_addresses_of_the_web_stay(self, plain, text):
        for language in ("de", "en", ""):
            assert redact(text, plain, language).text == text

    def test_no_sentence_of_the_samples_knowledge_is_torn(self, plain):
        entries = load_entries(resource("knowledge"))
        assert len(entries) > 100
        for entry in entries:
            text = f"{entry.question} {entry.answer}"
            assert plain.find(text, entry.language) == [], text


class TestNames:
    @pytest.mark.parametrize("language", ["de", "en"])
    def test_names_that_no_model_has_seen_are_found(self, knowing, language):
        sentence = SENTENCES[language][4].format(UNSEEN[language].removeprefix("Frau "))
        clean = redact(sentence, knowing, language)
        assert "Torwald" not in clean.text
        assert [one.kind for one in clean.findings] == [Kind.NAME]

    @pytest.mark.parametrize("language", ["de", "en"])
    def test_sentences_without_names_stay(self, knowing, language):
        for sentence in OTHERS[language]:
            assert redact(sentence, knowing, language).text == sentence

    def test_without_a_language_both_are_looked_at(self, knowing):
        for language in SENTENCES:
            assert "Kern" not in redact(SENTENCES[language][0].format("Eva Kern"), knowing).text

    def test_who_is_public_stays(self, knowing):
        text = SENTENCES["de"][0].format("Eva Kern")
        assert redact(text, knowing, "de", PublicFacts.of(["Dr. Eva Kern"])).text == text

    def test_a_text_longer_than_spacy_takes_is_looked_at_whole(self, knowing):
        sentence = SENTENCES["de"][0].format("Eva Kern") + " "
        before = OTHERS["de"][0] + " "
        text = before * 5000 + sentence
        assert len(text) > 100_000
        assert "Kern" not in redact(text, knowing, "de").text


class TestMaking:
    @pytest.mark.usefixtures("no_network")
    def test_nothing_is_downloaded(self, models):
        for spec in (DetectorSpec(), DetectorSpec({"en": models["en"]}), DetectorSpec(models)):
            detector = PresidioDetector(spec)
            assert detector.find("My mail is a@b.example, 1.2.3.4 and 0171 1234567", "en") == []

    @pytest.mark.usefixtures("no_network")
    @pytest.mark.parametrize("model", ["de_core_news_md", "en_core_web_lg", "./nowhere"])
    def test_a_model_that_is_missing_is_an_error(self, model):
        with pytest.raises(ConfigError):
            PresidioDetector(DetectorSpec({"de": model}))

    def test_a_model_that_knows_no_persons_is_an_error(self, tmp_path: Path):
        spacy.blank("de").to_disk(tmp_path / "blank")
        with pytest.raises(ConfigError, match="knows no persons"):
            PresidioDetector(DetectorSpec({"de": str(tmp_path / "blank")}))

    def test_a_broken_model_is_an_error(self, models, tmp_path: Path):
        (tmp_path / "config.cfg").write_text("[nlp]\nlang = 'xx'\n[broken")
        with pytest.raises(ConfigError, match="cannot be loaded"):
            PresidioDetector(DetectorSpec({"de": str(tmp_path)}))

    def test_it_is_known_again_by_its_models(self, models):
        assert fingerprint(DetectorSpec(models)) == fingerprint(DetectorSpec(dict(models)))
        assert fingerprint(DetectorSpec(models)) != fingerprint(DetectorSpec({"de": models["de"]}))
        check(DetectorSpec(models))


@pytest.fixture
def office(tmp_path: Path, models, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of the test's own, with the detector on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TOM_PRIVACY_DETECTOR", "true")
    monkeypatch.setenv("TOM_PRIVACY_MODELS", DetectorSpec(models).to_json())
    # A path of the repository, from where the parser's process imports.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def tom(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["kb", *arguments])
    return done.exit_code, " ".join(done.output.split())


def document(language: str) -> str:
    """Return a text with names in it and none, 40 passages long."""
    chance = random.Random(2)
    lines = []
    for number in range(200):
        name = f"{GIVEN[number % len(GIVEN)]} {FAMILY[number * 7 % len(FAMILY)]}"
        lines.append(chance.choice(SENTENCES[language]).format(name))
        lines.append(chance.choice(OTHERS[language]) + "\n")
    return "\n".join(lines)


class TestDocuments:
    @pytest.mark.parametrize("language", ["de", "en"])
    def test_names_never_reach_the_index(self, office, language):
        path = office / "contacts.md"
        path.write_text(f"# {'Ansprechpartner' if language == 'de' else 'Contacts'}\n\n")
        path.write_text(path.read_text() + document(language))
        status, said = tom("add", str(path), "--space", "kfz", "--language", language)
        assert status == 0, said
        assert int(re.search(r"(\d+) name", said)[1]) >= 200  # a heading may be among them
        held = b"".join(p.read_bytes() for p in (office / "data" / "knowledge").rglob("*.db*"))
        text = held.decode("utf-8", "ignore").lower()
        assert "ausweis" in text or "passport" in text
        assert [name for name in FAMILY if name.lower() in text] == []
        status, said = tom("search", "Mustermann", "--space", "kfz")
        assert "mustermann" not in said.lower().replace("mustermann", "", 1)

    async def test_the_parser_has_the_memory_that_documents_need_beside_its_models(
        self, models, tmp_path: Path
    ):
        path = tmp_path / "a.md"
        path.write_text(document("de"))
        parser = ProcessParser(DetectorSpec(models))
        try:
            parsed = await parser.parse(Task(str(path), limits=Limits(memory_bytes=256 * MIB)))
        finally:
            await parser.close()
        assert parsed.summary.redacted["name"] >= 190


class TestPool:
    async def test_names_go_from_what_is_learned_and_a_person_looks_at_it(self, models):
        async with AsyncExitStack() as stack:
            settings = Settings(_env_file=None, privacy_detector=True, privacy_models=models)
            redactor = open_redactor(settings, stack)

            def redacted(text: str, language: str) -> tuple[str, bool]:
                found = redactor(text, language)
                return found.text, bool(found.findings)

            screen = Screen(ScreenRules(review_share=0.0), redacted)
            example = TrainingExample(
                messages=(
                    Message(role="system", content="You are TOM."),
                    Message(role="user", content="My name is Eva Kern and I need a passport."),
                ),
                completion="You get the passport at the town hall.",
                feedback_score=1.0,
                importance=1.0,
                domain="kfz",
                language="en",
                calls=("c",),
            )
            found = screen(example)
            assert found.state is State.REVIEW
            assert found.example is not None
            assert found.example.messages[1].content.startswith("My name is [name] and")
            told = example.model_copy(update={"completion": "Please ask Eva Kern at the counter."})
            assert screen(told).state is State.REJECTED

    def test_a_detector_that_was_killed_lets_nothing_through_and_comes_again(self, models):
        detector = ProcessDetector(DetectorSpec(models))
        try:
            assert detector.find(SENTENCES["de"][0].format("Eva Kern"), "de")
            assert detector._process is not None
            os.kill(detector._process.pid, 9)
            with pytest.raises(RedactionFailed):
                detector.find(SENTENCES["de"][0].format("Eva Kern"), "de")
            assert detector.find(SENTENCES["de"][0].format("Eva Kern"), "de")
        finally:
            detector.close()


def test_its_speed_is_told(plain, knowing, capsys):
    texts = {language: document(language).split("\n\n") for language in SENTENCES}
    chars = sum(len(text) for each in texts.values() for text in each)
    for name, detector in (("without models", plain), ("with two tiny models", knowing)):
        began = time.process_time()
        for language, each in texts.items():
            for text in each:
                detector.find(text, language)
        seconds = time.process_time() - began
        count = sum(map(len, texts.values()))
        with capsys.disabled():
            told = f"{chars / seconds:,.0f} characters, {count / seconds:,.0f} texts a second"
            sys.stdout.write(f"\n{name}: {told}\n")
        assert chars / seconds > 2000
