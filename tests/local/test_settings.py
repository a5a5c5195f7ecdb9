"""Settings files: what is read, and the sentence for what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sm_locust.local.settings import Settings, SettingsError


def test_the_defaults_are_the_blogs_instance() -> None:
    assert Settings().sustained_per_minute == pytest.approx(28_235, abs=1)


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "local.yaml"
    file.write_text("service_time: 0.017\nworkers: 2\n")
    assert Settings.load(file) == Settings(service_time=0.017, workers=2)


def test_an_empty_file_is_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "local.yaml"
    file.write_text("")
    assert Settings.load(file) == Settings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("service_tme: 1", ["service_tme is not a setting", "accepted: endpoint, variant,", "service_time"]),
        ("service_time: -1", ["service_time -1", "greater than 0"]),
        ("workers: many", ["workers 'many'", "valid integer"]),
        ("workers: 0", ["workers 0", "greater than or equal to 1"]),
        ("instances: 0", ["instances 0", "greater than or equal to 1"]),
        ("routing: fastest", ["routing 'fastest'", "'random' or 'least-outstanding'"]),
        ("provisioning_time: -1", ["provisioning_time -1", "greater than or equal to 0"]),
        ("endpoint: my_endpoint", ["endpoint 'my_endpoint'", "match pattern"]),
        ("- workers", ["must be a mapping of settings", "['workers']"]),
        ("workers: [", ["is not YAML"]),
        ("region: 2026-13-45", ["is not YAML: month must be in 1..12"]),
        ("region: " + "[" * 10_000, ["is not YAML: nested too deeply"]),
    ],
)
def test_a_wrong_file_is_one_sentence_with_file_key_value_and_what_is_accepted(
    tmp_path: Path, text: str, says: list[str]
) -> None:
    file = tmp_path / "local.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        Settings.load(file)
    sentence = str(refused.value)
    assert sentence.startswith(f"{file}: ")
    assert "\n" not in sentence
    for words in says:
        assert words in sentence


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml: cannot be read: No such file"):
        Settings.load(tmp_path / "none.yaml")


def test_a_wrong_secret_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "local.yaml"
    file.write_text("secret_access_key: 12345\n")
    with pytest.raises(SettingsError) as refused:
        Settings.load(file)
    assert "secret_access_key" in str(refused.value)
    assert "12345" not in str(refused.value)
