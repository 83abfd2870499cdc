"""The policy file: twelve variants, every slot's values in use, mistakes named by their line."""

from __future__ import annotations

from pathlib import Path

import pytest

from apps.core.errors import ConfigError
from apps.core.policy import BargeInSensitivity, Greeting, InquiryMode, Length, PolicySlots, Tone
from apps.rl.guard.candidates import with_candidates
from apps.rl.variants import Catalog, PolicyVariant, load_catalog
from apps.rl.yaml_file import MAX_BYTES

GOOD = """\
variants:
  a:
    name: One
    parameters: {tone: warm}
  b:
    name: Two
    parameters: {}
deployment:
  traffic_split:
    base_variant: a
"""


def test_there_are_twelve_variants_and_the_base_variant_is_plain(catalog: Catalog) -> None:
    assert len(catalog.variants) == 12
    assert catalog.rules.base_variant == "v1a"
    assert catalog.variants["v1a"].slots == PolicySlots()
    assert len({v.slots for v in catalog.variants.values()}) == 12
    assert all(v.name and v.description for v in catalog.variants.values())


def test_every_value_of_every_slot_is_tried_by_several_variants(catalog: Catalog) -> None:
    for kind in (Greeting, Tone, Length, InquiryMode, BargeInSensitivity):
        for value in kind:
            users = [v for v in catalog.variants.values() if value in v.parameters.values()]
            assert len(users) >= 2, value


def test_the_rules_are_those_of_the_file(catalog: Catalog) -> None:
    rules = catalog.rules
    assert (rules.split_new, rules.split_uncertain, rules.exploration_rate) == (0.1, 0.05, 0.1)
    assert (rules.blacklist_mean, rules.blacklist_min_pulls) == (-0.2, 20)
    assert rules.min_pulls_for_confidence == 10
    assert (catalog.prior.alpha, catalog.prior.beta) == (1.0, 1.0)


def test_a_short_file_has_the_usual_rules(tmp_path: Path) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text(GOOD)
    catalog = load_catalog(path)
    assert catalog.variants["a"] == PolicyVariant("a", "One", {"tone": "warm"})
    assert catalog.rules.split_new == 0.1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tone: warm", "tone: shouting", r":2: variants\.a: .*tone cannot be 'shouting'"),
        ("tone: warm", "volume: high", r":2: variants\.a: .*slot 'volume'"),
        ("name: Two", "nick: Two", r":5: variants\.b\.name: "),
        ("base_variant: a", "base_variant: z", r":10: .*no variant 'z'"),
        ("base_variant: a", "base_variant: a\n    new_variants: 1.5", r":11: .*less than"),
        (
            "base_variant: a",
            "base_variant: a\n    new_variants: 0.8\n    uncertain_variants: 0.4",
            r":9: .*more than all",
        ),
        ("  b:", "  a:", r":5: variants\.a: It is said twice"),
        ("  b:", "  b c:", r":5: variants\.b c: "),
        ("variants:", "variants: [", r"variants\.yaml:3: "),
        ("deployment:", "deploy:", r":8: deploy: |deployment: "),
        (GOOD, "", "the file: "),
        (GOOD, "[1, 2]", "the file: "),
        (GOOD, "variants: {}\ndeployment: {traffic_split: {base_variant: a}}", ":1: variants: "),
    ],
)
def test_a_mistake_is_named_by_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "variants.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=said) as caught:
        load_catalog(path)
    assert caught.value.hint


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_catalog(tmp_path / "none.yaml")
    assert "RL_POLICIES_PATH" in caught.value.hint
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_catalog(tmp_path / "bytes.yaml")


LAUGHS = "\n".join(
    ["a0: &a0 {k: v}", *[f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}" for n in range(1, 40)]]
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "aliases"),
        ("a: &a {b: *a}", "aliases"),
        ("x: " + "[" * 3000, "nested too deeply"),
        ("x: " + "{a: " * 3000, "nested too deeply"),
        ("x: !!python/object:os.system {}", "constructor"),
        ("? [1]\n: 2", "unhashable"),
        ("x: 2024-13-45", "cannot be"),
        ("x: !!bool perhaps", "cannot be"),
        ("x: !!timestamp soon", "cannot be"),
        ("x: " + "9" * 6000, "cannot be"),
        ("# " + "x" * MAX_BYTES, "more than"),
        ("", "the file: It must be a mapping"),
        ("- c1", "the file: It must be a mapping"),
        ('variants: {c1: {name: "\\e[2J", parameters: {}}}', r"variants\.c1\.name"),
        (f"variants: {{c1: {{name: {'x' * 2000}, parameters: {{}}}}}}", r"variants\.c1\.name"),
    ],
)
def test_a_file_made_to_do_harm_is_a_mistake_like_any_other(
    tmp_path: Path, catalog: Catalog, text: str, said: str
) -> None:
    path = tmp_path / "candidates.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_catalog(path)
    assert with_candidates(catalog, tmp_path) == catalog
