"""What a detector finds goes, and where it fails nobody gets the text."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import redaction
from apps.core.errors import ConfigError, DetectorUnavailable, RedactionFailed
from apps.core.privacy import DetectorSpec, check, spec
from apps.core.privacy.fakes import FakeDetector
from apps.core.privacy.known import KnownNames, Recalling
from apps.core.privacy.names import names_in, windows
from apps.core.privacy.process import ProcessDetector
from apps.core.privacy.redacting import redact
from apps.core.redaction import PLACEHOLDER, Finding, Kind, PublicFacts

PROGRAM = (sys.executable, "-m", "tests.worker_programs.fake_detector")


class TestNames:
    @pytest.mark.parametrize(
        ("marked", "text", "clean"),
        [
            ("Petra Musterfrau", "Fragen Sie Petra Musterfrau.", "Fragen Sie [name]."),
            ("Frau Dr. Musterfrau", "Frau Dr. Musterfrau hilft.", "Frau Dr. [name] hilft."),
            ("Musterfrau, Petra", "Zuständig: Musterfrau, Petra", "Zuständig: [name]"),
            ("(Petra Musterfrau)", "Amt (Petra Musterfrau), Raum 4", "Amt ([name]), Raum 4"),
            ("Petra Musterfrau 06172", "Petra Musterfrau 06172", "[name] 06172"),
            ("Petra Musterfrau-Kern", "Petra Musterfrau-Kern", "[name]"),
            ("A.B. Miller", "Ask A.B. Miller", "Ask [name]"),
            ("O'Neill's", "It is O'Neill's desk.", "It is [name] desk."),
            ("Musterfrau1", "Petra Musterfrau1)", "Petra [name])"),
        ],
    )
    def test_a_name_goes_without_what_stands_around_it(self, marked, text, clean):
        start = text.index(marked)
        found = names_in(text, start, start + len(marked))
        for finding in found:
            text = f"{text[: finding.start]}[{finding.kind}]{text[finding.end :]}"
        assert text == clean

    @pytest.mark.parametrize(
        ("marked", "text"),
        [
            ("Frau", "Frau und Herr"),
            ("Herr Dr.", "Sehr geehrter Herr Dr."),
            ("petra@stadt.example", "Mail an petra@stadt.example"),
            ("www.musterfrau.example", "Siehe www.musterfrau.example."),
            ("musterfrau.example/amt", "Siehe musterfrau.example/amt."),
            ("Konrad-Adenauer-Straße", "in der Konrad-Adenauer-Straße 5"),
            ("Konrad", "in der Konrad-Adenauer-Straße 5"),
            ("Konrad Adenauer", "am Konrad Adenauer Platz"),
            ("Anna-Lindh-Schule", "die Anna-Lindh-Schule ist"),
            ("Baker", "at 5 Baker Street"),
            ("Lindenstraße", "in der Lindenstraße"),
            ("4711", "Nummer 4711"),
        ],
    )
    def test_what_is_no_persons_name_stays(self, marked, text):
        start = text.index(marked)
        assert list(names_in(text, start, start + len(marked))) == []

    @given(st.text("aB .-,@1", max_size=60), st.data())
    def test_a_name_lies_in_what_was_marked_and_has_letters(self, text, data):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        found = list(names_in(text, start, end))
        for one in found:
            assert start <= one.start < one.end <= end
            assert any(map(str.isalpha, one.value))
        ends = [0, *(one.end for one in found)]
        assert all(one.start >= before for one, before in zip(found, ends, strict=False))


class TestKnownNames:
    @pytest.mark.parametrize(
        ("text", "clean"),
        [
            ("Petra Kern, petra kern und Petra Kerns Akte", "[name], [name] und [name] Akte"),
            ("Frau Kern und Herr Kerns", "Frau [name] und Herr [name]"),
            ("Der Kern, Petra Stein, Petra. Kern", "Der Kern, Petra Stein, [name]"),
            ("Petra und Kern, PetraKern", "Petra und Kern, PetraKern"),
            ("die Petra-Kern-Straße", "die Petra-Kern-Straße"),
            ("petra.kern@amt.example ist", "[email] ist"),
            ("Dr. med. Eva Maria Kern-Brandt", "Dr. med. [name]"),
        ],
    )
    def test_a_full_name_is_known_again_and_a_family_name_behind_its_title(self, text, clean):
        known = KnownNames()
        for value in ("petra kern", "eva maria kern brandt", "amt"):
            known.add(Finding(Kind.NAME, 0, 1, value))
        known.add(Finding(Kind.ID, 0, 1, "der kern"))
        assert redaction.redact(text, more=tuple(known.find(text))).text == clean

    def test_each_text_is_looked_at_once_though_it_comes_twice(self):
        looking = FakeDetector("Petra Kern")
        recalling = Recalling(looking)
        first = [list(recalling.find(text, "de")) for text in ("Frau Kern", "Petra Kern")]
        again = [list(recalling.find(text, "de")) for text in ("Frau Kern", "Petra Kern")]
        assert len(looking.languages) == 2
        assert (first[0], len(again[0])) == ([], 1)


class TestWindows:
    def test_a_short_text_is_one_window(self):
        assert list(windows("Petra Musterfrau")) == [(0, "Petra Musterfrau")]

    @given(st.text("ab ", max_size=300))
    def test_every_window_is_of_the_text_and_none_is_too_long(self, text):
        for at, piece in windows(text, size=50, overlap=10):
            assert len(piece) <= 50
            assert text[at : at + len(piece)] == piece

    @given(st.text("ab ", min_size=60, max_size=300), st.data())
    def test_what_is_as_short_as_the_overlap_is_whole_in_some_window(self, text, data):
        start = data.draw(st.integers(0, len(text) - 10))
        assert any(
            at <= start and start + 10 <= at + len(piece)
            for at, piece in windows(text, size=50, overlap=10)
        )


class TestPublicNames:
    PUBLIC = PublicFacts.of(["Dr. Petra Musterfrau", "Beispiel, Max", "06172 999-0"])

    @pytest.mark.parametrize(
        "name",
        ["Petra Musterfrau", "Musterfrau", "Musterfraus", "Musterfrau, Petra", "Max Beispiel"],
    )
    def test_who_is_public_stays_also_by_the_family_name(self, name):
        text = f"Fragen Sie {name} im Amt."
        assert redact(text, FakeDetector(name), "de", self.PUBLIC).text == text

    @pytest.mark.parametrize("name", ["Petra", "Petra Beispiel", "Eva Musterfrau", "Muster"])
    def test_who_is_only_called_alike_does_not(self, name):
        clean = redact(f"Fragen Sie {name} im Amt.", FakeDetector(name), "de", self.PUBLIC)
        assert clean.text == "Fragen Sie [name] im Amt."

    def test_the_offices_number_beside_a_name_stays(self):
        text = "Petra Kern 06172 999-0"
        clean = redact(text, FakeDetector("Petra Kern 06172 999"), "de", self.PUBLIC)
        assert clean.text == "[name] 06172 999-0"


class TestRedacting:
    def test_names_go_beside_what_has_a_pattern(self):
        clean = redact("Petra Kern, 0171 1234567", FakeDetector("Petra Kern"), "de")
        assert clean.text == "[name], [phone]"
        assert [one.kind for one in clean.findings] == [Kind.NAME, Kind.PHONE]
        assert PLACEHOLDER.search(clean.text) is not None

    def test_without_a_detector_patterns_alone_are_found(self):
        assert redact("Petra Kern, 0171 1234567", None).text == "Petra Kern, [phone]"

    def test_a_detector_that_fails_gives_no_text_and_no_word_of_it(self):
        with pytest.raises(RedactionFailed, match="ValueError") as failed:
            redact("Petra Kern", FakeDetector(fails_on="Petra"))
        assert "Petra" not in failed.value.message
        assert failed.value.__cause__ is None
        assert failed.value.__suppress_context__

    @pytest.mark.parametrize("error", [MemoryError, RecursionError])
    def test_a_lack_of_memory_is_the_processes_to_judge(self, error):
        class Hungry(FakeDetector):
            def find(self, text: str, language: str) -> Iterator:
                raise error

        with pytest.raises(error):
            redact("Petra Kern", Hungry())


class TestSpec:
    @pytest.fixture
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let it look as if Presidio were there, and "a_model" beside it."""
        real = spec.find_spec

        def find(name: str) -> object:
            return object() if name == "presidio_analyzer" else real(name)

        monkeypatch.setattr(spec, "find_spec", find)
        monkeypatch.setattr(spec, "version", lambda name: "1.0")

    def test_it_travels_as_json(self):
        told = DetectorSpec({"de": "de_core_news_md"})
        assert DetectorSpec.from_json(told.to_json()) == told

    def test_without_presidio_the_extra_is_named(self, monkeypatch):
        monkeypatch.setattr(spec, "find_spec", lambda name: None)
        with pytest.raises(ConfigError) as failed:
            check(DetectorSpec())
        assert "tom-voice[privacy]" in failed.value.hint

    @pytest.mark.usefixtures("installed")
    @pytest.mark.parametrize(
        "models",
        [{"de": "de_no_such_model"}, {"de": "./nowhere"}, {"fr": "fr_core_news_md"}, {"de": ""}],
    )
    def test_a_model_that_is_not_there_is_an_error_and_never_downloaded(self, models):
        with pytest.raises(ConfigError):
            check(DetectorSpec(models))

    @pytest.mark.usefixtures("installed")
    def test_its_fingerprint_is_what_the_model_holds_and_not_where_or_when(self, tmp_path: Path):
        def model(name: str, weights: str) -> DetectorSpec:
            folder = tmp_path / name
            (folder / "__pycache__").mkdir(parents=True)
            (folder / "__pycache__" / "a.pyc").write_text(name)
            (folder / "config.cfg").write_text("[nlp]")
            (folder / "weights").write_text(weights)
            os.utime(folder / "weights", (len(name), len(name)))
            return DetectorSpec({"de": str(folder)})

        one, same, other = model("a", "1"), model("bb", "1"), model("c", "2")
        assert spec.fingerprint(one) == spec.fingerprint(same)
        prints = {spec.fingerprint(each) for each in (one, other, DetectorSpec())}
        assert len(prints) == 3


@pytest.fixture(scope="module")
def detector() -> Iterator[ProcessDetector]:
    detector = ProcessDetector(DetectorSpec(), answers_within_s=1.0, program=PROGRAM)
    yield detector
    detector.close()


class TestProcess:
    @pytest.mark.parametrize("remark", ["", "print"])
    def test_it_answers_by_another_process(self, detector, remark):
        (found,) = detector.find(f"{remark} Frau Petra Musterfrau\n hilft", "de")
        assert (found.kind, found.value) == (Kind.NAME, "petra musterfrau")

    def test_a_text_that_it_fails_on_costs_that_text_alone(self, detector):
        with pytest.raises(RedactionFailed, match="ValueError"):
            detector.find("Petra Musterfrau fails", "de")
        assert detector.find("Petra Musterfrau", "de")

    @pytest.mark.parametrize("order", ["die", "sleep"])
    def test_one_that_dies_or_hangs_lets_nothing_through_and_the_next_text_starts_another(
        self, detector, order
    ):
        with pytest.raises(RedactionFailed, match="ended, or gave no answer"):
            detector.find(f"Petra Musterfrau, {order}", "de")
        assert detector.find("Petra Musterfrau", "de")

    def test_one_that_cannot_be_made_says_why(self):
        detector = ProcessDetector(DetectorSpec({"de": "nowhere"}), program=PROGRAM)
        with pytest.raises(RedactionFailed, match="There is no spaCy model 'nowhere'"):
            detector.find("Petra", "de")

    def test_a_text_that_failed_is_told_from_a_detector_that_is_not_there(self, detector):
        with pytest.raises(RedactionFailed) as failed:
            detector.find("fails", "de")
        assert not isinstance(failed.value, DetectorUnavailable)
        with pytest.raises(DetectorUnavailable):
            detector.find("die", "de")

    def test_closing_waits_for_no_answer_and_starts_nothing_anew(self):
        detector = ProcessDetector(DetectorSpec(), program=PROGRAM)
        detector.find("warm", "de")
        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(detector.find, "sleep", "de") for _ in range(2)]
            while not detector._lock.locked():
                time.sleep(0.01)
            began = time.monotonic()
            detector.close()
            assert time.monotonic() - began < 5.0
            for one in waiting:
                assert isinstance(one.exception(timeout=5.0), DetectorUnavailable)
        with pytest.raises(DetectorUnavailable, match="closed"):
            detector.find("Petra", "de")
        assert detector._process is None

    def test_one_that_is_no_program_of_ours_is_no_answer(self):
        detector = ProcessDetector(DetectorSpec(), program=(sys.executable, "-c", "print('{')"))
        with pytest.raises(RedactionFailed):
            detector.find("Petra", "de")
