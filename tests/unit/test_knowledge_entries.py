"""A knowledge folder is read whole or not at all; what is wrong is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.core.errors import ConfigError
from apps.core.resources import resource
from apps.knowledge.entries import ELSEWHERE, load_elsewhere, load_entries

GOOD = """---
profile: demo
language: en
topic: fees
---
# Fees

## How much is it? {#fee-one}

Also asked:
- what does it cost
- is it free

It costs 5 euros. Pay in
room 5.

## Where do I pay? {#fee-where}

At the counter.
"""


def write(folder: Path, text: str, name: str = "fees.md", language: str = "en") -> Path:
    path = folder / "demo" / language / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return folder


def test_a_file_becomes_entries_with_variants_and_sentences(tmp_path: Path) -> None:
    first, second = load_entries(write(tmp_path, GOOD))
    assert first.id == "fee-one"
    assert first.question == "How much is it?"
    assert first.variants == ("what does it cost", "is it free")
    assert first.sentences == ("It costs 5 euros.", "Pay in room 5.")
    assert first.answer == "It costs 5 euros. Pay in room 5."
    assert (first.topic, first.language, first.profile) == ("fees", "en", "demo")
    assert first.source == "demo/en/fees.md#fee-one"
    assert second.variants == ()


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        (("---\nprofile", "profile"), 1, "front matter"),
        (("topic: fees\n---", "topic: fees"), 5, "front matter holds"),
        (("topic: fees\n", ""), 1, "lacks `topic`"),
        (("topic: fees", "topic"), 4, "front matter holds"),
        (("language: en", "language: de"), 1, "does not match its folder"),
        (("{#fee-one}", ""), 8, "stable-id"),
        (("{#fee-one}", "{#Fee One}"), 8, "stable-id"),
        (("# Fees", "Some text"), 6, "before the first"),
        (("Also asked:\n", ""), 10, "list belongs under"),
        (("At the counter.\n", ""), 17, "fee-where has no answer"),
        (("{#fee-where}", "{#fee-one}"), 17, "fee-one is used in demo/en/fees.md#fee-one too"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(
    tmp_path: Path, change: tuple[str, str], line: int, says: str
) -> None:
    write(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(ConfigError) as caught:
        load_entries(tmp_path)
    assert says in caught.value.message
    assert f"fees.md, line {line}:" in caught.value.message
    assert caught.value.hint


def test_front_matter_that_never_ends_is_named(tmp_path: Path) -> None:
    write(tmp_path, "---\nprofile: demo\n")
    with pytest.raises(ConfigError, match="line 1: the front matter is not closed"):
        load_entries(tmp_path)


def test_an_id_may_come_back_in_another_language_only(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, GOOD.replace("language: en", "language: de"), language="de")
    assert len(load_entries(tmp_path)) == 4
    write(tmp_path, GOOD, name="more.md")
    with pytest.raises(ConfigError, match="used in"):
        load_entries(tmp_path)


def test_a_folder_without_knowledge_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No knowledge"):
        load_entries(tmp_path)


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (write(tmp_path, GOOD) / "demo" / "en" / "fees.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="Cannot read"):
        load_entries(tmp_path)


def test_the_sample_has_the_same_entries_in_both_languages() -> None:
    entries = load_entries(resource("knowledge"))
    ids = {language: {e.id for e in entries if e.language == language} for language in ("de", "en")}
    assert ids["de"] == ids["en"]
    assert len(ids["en"]) >= 40


NOT_ANSWERED = """\
---
profile: demo
language: en
topic: elsewhere
---
# What others answer

Not answered here:
- who owns the car with this plate
* do you repair cars
"""


def test_what_is_not_answered_stands_in_a_file_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, NOT_ANSWERED, ELSEWHERE)
    told = ("who owns the car with this plate", "do you repair cars")
    assert load_elsewhere(tmp_path) == {("demo", "en"): told}
    with pytest.raises(ConfigError, match="No knowledge"):
        load_entries(tmp_path)


def test_a_mistake_in_what_is_not_answered_is_named(tmp_path: Path) -> None:
    write(tmp_path, NOT_ANSWERED + "## Where is it? {#where}\n", ELSEWHERE)
    with pytest.raises(ConfigError, match=r"elsewhere\.md, line 11: here stand questions alone"):
        load_elsewhere(tmp_path)
