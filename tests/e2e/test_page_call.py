"""Calls through the call page in Chromium, where it stands; `make test-page` makes more.

The microphone says a question six seconds after it was opened. What is heard in the page is
measured where it leaves for the loudspeaker.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from apps.core.audio import SAMPLE_RATE_HZ
from apps.core.resources import resource
from apps.voice.audiofile import read_audio
from tests.e2e import chromium
from tests.e2e.chromium import Page
from tests.e2e.servers import Running

CHROMIUM = chromium.find()
FIRST_WORDS_MS = 5000
"""On a machine that runs other tests as well; `make test-page` holds it to 2 s."""
SILENT = 0.003

LISTENING = (Path(__file__).parent / "page_levels.js").read_text("utf-8")


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of silence, the demonstration's question, and silence to the call's end."""
    path = tmp_path_factory.mktemp("microphone") / "question.wav"
    spoken = read_audio(resource("demo", "slt", "question.flac"))
    silence = np.zeros(SAMPLE_RATE_HZ, np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.concatenate([*[silence] * 6, spoken, *[silence] * 60]).tobytes())
    return path


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: nobody called through the page"),
]


@contextmanager
def calling(server: Running, query: str, microphone: Path) -> Iterator[Page]:
    """Press the button; the call's first words are heard in time."""
    assert CHROMIUM
    url = server.url.replace("127.0.0.1", "localhost") + f"/?observe&{query}"
    flag = f"--use-file-for-fake-audio-capture={microphone}%noloop"
    with chromium.browsing(url, CHROMIUM, flag, early=LISTENING) as page:
        pressed = page.run("document.getElementById('call').click(), performance.now()")
        heard = page.until(f"levels.find(([, level]) => level > {SILENT})")
        assert heard[0] - pressed <= FIRST_WORDS_MS
        yield page
        assert page.complaints == []


def write(page: Page, text: str) -> None:
    page.run("document.getElementById('typed-text').focus()")
    page.write(text)
    page.press("Enter")


def ask_and_interrupt(page: Page) -> None:
    """Ask a question; say goodbye into its answer."""
    write(page, "How much does it cost to register a car?")
    # Not merely "speaking": what was said before may still be, and words typed now would join.
    page.until("document.body.innerText.includes('registration of a new car costs')")
    page.until("document.body.dataset.state === 'speaking'")
    page.until(f"levels.at(-1)[1] > {SILENT}")
    write(page, "Goodbye")
    page.until("!!document.querySelector('.assistant.cut')")


def rate(page: Page) -> None:
    page.until("!document.getElementById('rating').hidden")
    page.run("document.activeElement.blur()")
    page.press("4")
    page.until("document.body.dataset.phase === 'ended'")
    assert page.run("document.querySelectorAll('.star.full').length") == 4
    assert "reward" in page.run("document.getElementById('insight-title').textContent")


def test_a_caller_speaks_hears_the_answer_and_rates_over_webrtc(
    quick: Running, question: Path
) -> None:
    with calling(quick, "", question) as page:
        assert page.run("document.body.dataset.transport") == "webrtc"
        write(page, "Hello")  # over the greeting, which would last until the question
        page.until("document.querySelectorAll('.caller:not(.partial)').length === 2")
        page.until("!!document.querySelector('.latency')")
        ask_and_interrupt(page)
        rate(page)


def test_a_caller_types_interrupts_and_rates_over_websocket(quick: Running, question: Path) -> None:
    with calling(quick, "transport=websocket", question) as page:
        assert page.run("document.body.dataset.transport") == "websocket"
        ask_and_interrupt(page)
        rate(page)
