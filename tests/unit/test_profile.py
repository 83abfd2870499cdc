"""Profiles: what a file may say, and what is told about one that is wrong."""

from datetime import UTC, datetime

import pytest

from apps.core.errors import ConfigError
from apps.core.resources import resource
from apps.dispatcher.profile import OpeningHours, load_profiles

RIGHT = """
id: town
languages: [en]
office: {en: the town office}
"""


def load(folder, text):
    (folder / "town.yaml").write_text(text)
    return load_profiles(folder)


def test_the_sample_profile_speaks_both_languages_and_prefers_english():
    kfz = load_profiles(resource("profiles"))["kfz"]
    assert (kfz.language(""), kfz.language("de"), kfz.language("fr")) == ("en", "de", None)


def test_a_few_lines_make_a_profile(tmp_path):
    town = load(tmp_path, RIGHT)["town"]
    assert town.office == {"en": "the town office"}
    assert town.handover is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (RIGHT + "surprise: 1", "surprise"),
        (RIGHT.replace("en: the", "de: the"), "office has no name in en"),
        (RIGHT + 'keys: {"12": repeat}', "is no key of a telephone"),
        (RIGHT + 'opening_hours: {monday: ["16:00-08:00"]}', "ends before it begins"),
        (RIGHT + "opening_hours: {timezone: Moon/Crater}", "is no time zone"),
        (RIGHT.replace("town\n", "Town Hall\n", 1), "id"),
        ("a: [", "is not YAML"),
        ("just words", "the file"),
    ],
)
def test_what_is_wrong_with_a_profile_is_told_by_file_and_field(tmp_path, wrong, said):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, wrong)
    assert "town.yaml" in error.value.message
    assert said in error.value.message


def test_a_folder_without_a_profile_is_told(tmp_path):
    with pytest.raises(ConfigError, match="No profile lies in"):
        load_profiles(tmp_path)


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        (datetime(2026, 3, 9, 6, 59, tzinfo=UTC), False),  # Monday, 07:59 in Berlin's winter
        (datetime(2026, 3, 9, 7, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 9, 14, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 9, 15, 0, tzinfo=UTC), False),
        (datetime(2026, 7, 6, 6, 0, tzinfo=UTC), True),  # in its summer an hour earlier
        (datetime(2026, 3, 10, 10, 0, tzinfo=UTC), False),  # Tuesday
    ],
)
def test_somebody_is_there_in_the_office_s_own_time(moment, there):
    hours = OpeningHours(monday=("08:00-16:00",))
    assert hours.open_at(moment) is there
