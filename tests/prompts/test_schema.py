"""The published JSON Schema says what the reader accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import designkit.prompts.schema as schema
from designkit.documents import parse_document, validate


def test_the_published_schema_is_the_one_that_the_models_give():
    published = Path(schema.__file__).with_name(schema.SCHEMA_FILE)
    # To publish a changed one: python -m designkit.prompts.schema
    assert json.loads(published.read_text(encoding="utf-8")) == schema.json_schema()


def test_the_schema_knows_every_key_and_allows_no_other():
    described = schema.json_schema()
    fields = schema.PromptDocument.model_fields
    assert set(described["properties"]) == {field.alias or name for name, field in fields.items()}
    assert described["additionalProperties"] is False
    assert described["anyOf"] == [{"required": ["prompt"]}, {"required": ["prompts"]}]
    assert all(key.get("description") or "$ref" in str(key) for key in described["properties"].values())


def every_key() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each key that a prompt file may hold, on any level: the model that has it, its name, what the schema says."""
    described = schema.json_schema()
    for owner, part in {"PromptDocument": described, **described["$defs"]}.items():
        for name, key in part.get("properties", {}).items():
            yield owner, name, key


@pytest.mark.parametrize(
    ("owner", "name", "key"), list(every_key()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_key_is_described_with_examples_that_are_accepted(owner: str, name: str, key: dict[str, Any]):
    assert key.get("description"), "say what it is"
    assert key.get("examples"), "show how it is written"
    for example in key["examples"]:
        document = parse_document(json.dumps({name: example}), name="example")
        checked = validate(getattr(schema, owner), document)
        mistakes = [problem for problem in checked if problem.code != "missing"] if isinstance(checked, list) else []
        assert mistakes == [], example


def test_every_part_of_the_schema_is_described():
    assert all(part.get("description") for part in schema.json_schema()["$defs"].values())


def test_the_schema_offers_no_null():
    # A key without a value is refused by the reader.
    assert "null" not in json.dumps(schema.json_schema())


def test_the_example_files_name_the_schema():
    for path in sorted((Path(schema.__file__).parents[2] / "prompts").glob("*.yaml")):
        first_line = path.read_text(encoding="utf-8").split("\n", 1)[0]
        name = first_line.partition("$schema=")[2]
        assert (path.parent / name).resolve() == Path(schema.__file__).with_name(schema.SCHEMA_FILE), path
