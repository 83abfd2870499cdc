"""Twilio's own request validator against TOM's: they must agree on every request.

pip install twilio && python -m tests.doors.carriers.validator
"""

from __future__ import annotations

import random
import sys

from twilio.request_validator import RequestValidator  # type: ignore[import-not-found]

from apps.voice.doors.carriers.signatures import is_twilios, twilio_signature

ROUNDS = 2000
LETTERS = "abcXYZ019 +&=%?/üß€-_.~\u202f"


def text(chance: random.Random, most: int) -> str:
    """Return any text of at most so many letters."""
    return "".join(chance.choice(LETTERS) for _ in range(chance.randrange(most)))


def disagreement(chance: random.Random) -> str:
    """Sign one request by both and check it by the other; returns what differs, if anything."""
    token = text(chance, 40) or "t"
    path = chance.choice(["/twilio/voice", "/twilio/voice?profile=kfz&language=de"])
    url = f"https://tom.example{chance.choice(['', '/sub'])}{path}"
    form = [(f"F{n}", text(chance, 30)) for n in range(chance.randrange(12))]
    theirs = RequestValidator(token)
    signature = theirs.compute_signature(url, dict(form))
    if twilio_signature(token, url, form) != signature:
        return f"{url} {form}"
    if not is_twilios(token, url, form, signature):
        return f"refused: {url} {form}"
    if not theirs.validate(url, dict(form), twilio_signature(token, url, form)):
        return f"refused by Twilio's: {url} {form}"
    if is_twilios(token, url + "x", form, signature):
        return f"let in: {url} {form}"
    return ""


def main() -> int:
    """Compare many requests; returns 1 if any differs."""
    chance = random.Random(7)
    wrong = [found for _ in range(ROUNDS) if (found := disagreement(chance))]
    sys.stdout.write(f"{ROUNDS} requests, {len(wrong)} of which were judged differently\n")
    sys.stdout.write("\n".join(wrong[:5]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
