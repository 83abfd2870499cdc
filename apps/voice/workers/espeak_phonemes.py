# SPDX-License-Identifier: GPL-3.0-or-later
"""Says how words are pronounced: ``python -m apps.voice.workers.espeak_phonemes [VOICE]``.

Reads words from standard input, one a line, and writes each with espeak-ng's IPA behind a tab.
espeak-ng is under the GPL, so this program is as well, and it runs in a process of its own.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator

import espeakng_loader

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_IPA = 2


def phonemes(words: Iterable[str], voice: str) -> Iterator[tuple[str, str]]:
    """Yield each word with its IPA.

    Raises:
        OSError: The library, its data or the voice cannot be loaded.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.espeak_TextToPhonemes.argtypes = [
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.c_int,
        ctypes.c_int,
    ]
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    data = str(espeakng_loader.get_data_path()).encode()
    if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DONT_EXIT) <= 0:
        raise OSError("espeak-ng's data cannot be loaded")
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise OSError(f"espeak-ng has no voice {voice}")
    for word in words:
        text = ctypes.c_char_p(word.encode())
        spoken = library.espeak_TextToPhonemes(ctypes.byref(text), _CHARS_UTF8, _IPA)
        yield word, spoken.decode()


def main(arguments: list[str]) -> int:
    """Answer on standard output; return the exit status."""
    words = [line.strip() for line in sys.stdin if line.strip()]
    for word, ipa in phonemes(words, arguments[0] if arguments else "en-us"):
        sys.stdout.write(f"{word}\t{ipa}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
