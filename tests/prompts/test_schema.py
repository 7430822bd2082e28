"""The published JSON Schema says what the reader accepts."""

from __future__ import annotations

import json
from pathlib import Path

import designkit.prompts.schema as schema


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


def test_the_schema_offers_no_null():
    # A key without a value is refused by the reader.
    assert "null" not in json.dumps(schema.json_schema())


def test_the_example_files_name_the_schema():
    for path in sorted((Path(schema.__file__).parents[2] / "prompts").glob("*.yaml")):
        first_line = path.read_text(encoding="utf-8").split("\n", 1)[0]
        name = first_line.partition("$schema=")[2]
        assert (path.parent / name).resolve() == Path(schema.__file__).with_name(schema.SCHEMA_FILE), path
