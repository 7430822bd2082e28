"""What a prompt file may say: the one definition behind reading, error messages and the published JSON Schema.

The scalars of a document are text (see `designkit.documents`), so every field here says what its text must
look like. Where a list is expected, a single value may stand alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from designkit.values import MAX_SEED

SCHEMA_FILE = "prompt-file.schema.json"

_TEXT: dict[str, Any] = {"type": ["string", "number", "boolean"]}
_TEXTS: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str | dict) else value


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _pathed(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _grouped(value: Any) -> Any:
    items: Any = cast("list[Any]", value) if isinstance(value, list) else []
    return [items] if items and all(isinstance(item, str) for item in items) else cast("Any", value)


def _filed(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


def _prompted(value: Any) -> Any:
    return {"prompt": value} if isinstance(value, str) else value


Text = Annotated[str, WithJsonSchema(_TEXT)]
Texts = Annotated[list[Text], BeforeValidator(_listed), Field(min_length=1), WithJsonSchema(_TEXTS)]
# The values are read, with their places, by `designkit.prompts.entries`.
AxisValues = Annotated[
    Any,
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
                {"type": "object", "additionalProperties": _TEXT, "minProperties": 1},
                {"type": "string"},
            ]
        }
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AdapterDocument(_Strict):
    """A LoRA that is laid over the model."""

    path: Text = Field(
        description="a .safetensors file or a folder, relative to this file", examples=["adapters/lumen.safetensors"]
    )
    weight: float = Field(
        default=1.0, ge=-10, le=10, allow_inf_nan=False, description="strength; 1 is as trained", examples=[0.8]
    )


class ModelDocument(_Strict):
    """The model that draws, and how."""

    name: Text = Field(
        default="starter",
        description="starter, starter-gan, starter-vae, draft, a folder, a .safetensors file, or a Hub id",
        examples=["starter", "draft"],
    )
    variant: Text | None = Field(default=None, description="a flavour of the weights, such as fp16", examples=["fp16"])
    steps: int | None = Field(
        default=None, ge=1, le=1000, description="denoising steps; the model's own if left out", examples=[20]
    )
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="how strictly the prompt is followed",
        examples=[4.0],
    )
    scheduler: Text | None = Field(
        default=None, description="the sampler; the model's own if left out", examples=["dpm++", "euler-a"]
    )
    adapters: Annotated[
        list[Annotated[AdapterDocument, BeforeValidator(_pathed)]],
        BeforeValidator(_listed),
    ] = Field(
        default_factory=list[AdapterDocument],
        description="LoRA files, as paths or as {path, weight}",
        examples=[[{"path": "adapters/lumen.safetensors", "weight": 0.8}]],
    )


class SampleDocument(_Strict):
    """Which of all variants are made."""

    method: Literal["full", "random", "balanced", "pairwise", "latin"] = Field(
        default="full",
        description="full: in order; random: drawn by weight, none twice; balanced: every value equally often; "
        "pairwise: every two values of two axes together at least once, in few variants; latin: spread over each axis, "
        "from its first value to its last",
        examples=["balanced", "pairwise"],
    )
    count: int | None = Field(
        default=None,
        ge=1,
        description="how many variants are made; pairwise finds its own number, and fills up to a larger one",
        examples=[24],
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="another seed draws other variants", examples=[7])


class SettingsDocument(_Strict):
    """Settings that some variants have for themselves."""

    sizes: Texts | None = Field(
        default=None,
        description="named sizes or pixels; {axis} takes an axis' value",
        examples=["story", ["square", "1024x768"]],
    )
    seed: int | None = Field(default=None, ge=0, le=MAX_SEED, description="the first seed", examples=[100])
    seeds: Texts | None = Field(
        default=None,
        description="2 (how many), [1, 2], 100-119, or 20#1000",
        examples=[2, [1, 2], "100-119", "20#1000"],
    )
    steps: int | None = Field(default=None, ge=1, le=1000, description="denoising steps", examples=[20])
    guidance: float | None = Field(
        default=None,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="how strictly the prompt is followed",
        examples=[4.0],
    )
    scheduler: Text | None = Field(default=None, description="the sampler", examples=["dpm++"])


class StylesDocument(_Strict):
    """A table of styles, and which of them are drawn."""

    file: Text = Field(description="a .csv file, relative to this file", examples=["styles.csv"])
    use: Texts | None = Field(
        default=None, description="the names of the styles; all of them if left out", examples=[["Flat", "Paper cut"]]
    )


class WhenDocument(SettingsDocument):
    """Settings that hold only where a condition does."""

    condition: dict[str, Texts] = Field(
        alias="if",
        min_length=1,
        description="the values that must be chosen, as {axis: value} or {axis: [one, other]}",
        examples=[{"scene": ["night", "dusk"]}],
    )


class RowDocument(SettingsDocument):
    """What one of several prompts, or a row of a .csv or .jsonl file, may set for itself."""

    prompt: Text | None = Field(
        default=None, description="the prompt", examples=["a {product} on a plain teal background"]
    )
    negative: Text | None = Field(
        default=None, description="what must not be in the picture", examples=["text, blurry"]
    )
    copy_texts: dict[str, Text] | None = Field(
        default=None,
        alias="copy",
        description="texts that are set on the picture afterwards",
        examples=[{"headline": "Fresh today"}],
    )
    name: Text | None = Field(
        default=None, description="what the names of its files begin with", examples=["summer-{product}"]
    )


class PromptDocument(_Strict):
    """A designkit prompt file: one or several prompts, their axes, and what to make of each variant."""

    kind: Literal["ad", "packaging", "branding"] | None = Field(
        default=None, description="what is designed", examples=["ad"]
    )
    brand: Text | None = Field(
        default=None,
        description="brand kit: a folder, or a Design Tokens file (.json), relative to this file or to brands/",
        examples=["brands/sunpip"],
    )
    prompt: Texts | None = Field(
        default=None,
        description="the prompt; {name} takes an axis' value, {a|b} makes both, __name__ takes a wildcard's values",
        examples=["a {product} on a {plain|striped} background"],
    )
    prompts: Annotated[list[Annotated[RowDocument, BeforeValidator(_prompted)]], BeforeValidator(_listed)] | None = (
        Field(
            default=None,
            min_length=1,
            description="several prompts, as text or with settings of their own: {prompt, negative, sizes, steps, ...}",
            examples=[["a can", {"prompt": "a box", "sizes": "story"}]],
        )
    )
    negative: Text | None = Field(
        default=None,
        description="what must not be in the picture; shares the choices of the prompt",
        examples=["text, {brand.avoid}"],
    )
    copy_texts: dict[str, Text] = Field(
        default_factory=dict[str, str],
        alias="copy",
        description="texts set on the picture afterwards, by name; they share its choices, and do not alter it",
        examples=[{"headline": "{product}, now {price}"}],
    )
    name: Text | None = Field(
        default=None,
        description="what the names of its files begin with; {axis} takes the value chosen",
        examples=["{product}-{scene}"],
    )
    axes: dict[str, AxisValues] = Field(
        default_factory=dict[str, AxisValues],
        max_length=100,
        description="what varies: a list of values, or key: value where files and reports are to use the key; "
        "a weight may stand in front (3::red), and a value may hold other axes",
        examples=[{"product": ["can", "box"], "scene": {"teal": "plain teal background"}}],
    )
    zip: Annotated[list[list[Text]], BeforeValidator(_grouped)] = Field(
        default_factory=list[list[str]],
        description="axes that move together: the first value of each, then the second, ...",
        examples=[["product", "price"]],
        json_schema_extra={"anyOf": [{"type": "array", "items": _TEXT}, {"type": "array", "items": {"type": "array"}}]},
    )
    exclude: Annotated[list[dict[str, Texts]], BeforeValidator(_listed)] = Field(
        default_factory=list[dict[str, Any]],
        description="combinations that are not made, each as {axis: value}",
        examples=[[{"product": "can", "style": ["sticker", "sketch"]}]],
    )
    when: Annotated[list[WhenDocument], BeforeValidator(_listed)] = Field(
        default_factory=list[WhenDocument],
        description="settings that hold only where some values are chosen; of several that hold, the last counts",
        examples=[[{"if": {"scene": "night"}, "steps": 30}]],
    )
    styles: Annotated[StylesDocument, BeforeValidator(_filed)] | None = Field(
        default=None,
        description="a table of styles (name, prompt, negative_prompt), as the Stable Diffusion web UI keeps it; each "
        "prompt is drawn in each style; a path, or {file, use}",
        examples=["styles.csv", {"file": "styles.csv", "use": ["Flat", "Paper cut"]}],
    )
    wildcards: Text | None = Field(
        default=None,
        description="folder of the lists for __name__, relative to this file; wildcards/ if left out",
        examples=["wildcards"],
    )
    sizes: Texts | None = Field(
        default=None,
        description="named sizes (square, iab/300x250) or pixels (1024x768); {axis} takes an axis' value",
        examples=[["square", "story", "1024x768"]],
    )
    formats: Texts | None = Field(
        default=None,
        description="files of named sizes of your own, relative to this file",
        examples=["my-sizes.yaml"],
    )
    seed: int = Field(default=0, ge=0, le=MAX_SEED, description="the first seed", examples=[100])
    seeds: Texts | None = Field(
        default=None,
        description="2 (how many), [1, 2], 100-119, or 20#1000",
        examples=[2, [1, 2], "100-119", "20#1000"],
    )
    sample: SampleDocument = Field(
        default_factory=SampleDocument,
        description="which of all variants are made",
        examples=[{"method": "pairwise"}, {"method": "random", "count": 24}],
    )
    model: Annotated[ModelDocument, BeforeValidator(_named)] = Field(
        default_factory=ModelDocument,
        description="the model that draws, and how; a name alone, or its settings",
        examples=["starter", {"name": "starter", "steps": 20, "guidance": 4.0}],
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a YAML prompt file, as published in `prompt-file.schema.json`."""
    schema = PromptDocument.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["anyOf"] = [{"required": ["prompt"]}, {"required": ["prompts"]}]
    model = schema["properties"]["model"]
    words = {key: model.pop(key) for key in ("description", "examples")}
    schema["properties"]["model"] = {"anyOf": [_TEXT, model], **words}
    adapters = schema["$defs"]["ModelDocument"]["properties"]["adapters"]
    adapters["items"] = {"anyOf": [_TEXT, adapters["items"]]}
    prompts = next(part for part in schema["properties"]["prompts"]["anyOf"] if part.get("type") == "array")
    prompts["items"] = {"anyOf": [_TEXT, prompts["items"]]}
    schema["properties"]["styles"]["anyOf"].append(_TEXT)
    when = schema["properties"]["when"]
    when["anyOf"] = [{"type": "array", "items": when.pop("items")}, {"$ref": "#/$defs/WhenDocument"}]
    del when["type"]
    return _without_null(schema)


def _without_null(schema: Any) -> Any:
    """The schema without the nulls that stand for "left out": in a file, a key without a value is a mistake."""
    if isinstance(schema, list):
        return [_without_null(part) for part in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    parts: dict[str, Any] = {
        key: _without_null(part)
        for key, part in cast("dict[str, Any]", schema).items()
        if not (key == "default" and part is None) and not (key == "title" and isinstance(part, str))
    }
    choices = [choice for choice in parts.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del parts["anyOf"]
        parts = {**choices[0], **parts}
    elif choices:
        parts["anyOf"] = choices
    return parts


def main() -> None:
    """Write the JSON Schema beside this file: `python -m designkit.prompts.schema`."""
    import json
    from pathlib import Path

    target = Path(__file__).with_name(SCHEMA_FILE)
    target.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
