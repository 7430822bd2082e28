"""Settings out of ComfyUI's node graphs: from the sampler backwards along its links to texts, sizes and models.

`prompt` holds the graph as it was run, `workflow` as it was drawn (its widgets are known for the nodes that ComfyUI
itself brings). Nodes of extensions are followed through their links as far as their inputs have the usual names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from designkit.runs.found import FoundAdapter, FoundSettings, NotUnderstood, bare, decimal, read_object, whole

MAX_NODES = 20_000
MAX_STEPS = 2_000
"""Links that are followed in one search; a graph may lead in circles."""
MAX_SAMPLERS = 20
"""Among how many samplers the first one is looked for."""

Node = Mapping[str, Any]
"""`class_type` and `inputs`, of which a link is a list of a node's name and the number of its output."""

_TEXT_INPUTS = ("text", "text_g", "text_l", "prompt", "t5xxl", "clip_l", "clip_g", "string", "value", "string_a")
_WIDGETS = {
    "KSampler": ("seed", None, "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (None, "noise_seed", None, "steps", "cfg", "sampler_name", "scheduler"),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": ("width", "height", None, None, None, None, "text_g", "text_l"),
    "CLIPTextEncodeFlux": ("clip_l", "t5xxl", "guidance"),
    "EmptyLatentImage": ("width", "height"),
    "EmptySD3LatentImage": ("width", "height"),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "UNETLoader": ("unet_name",),
    "LoraLoader": ("lora_name", "strength_model"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "RandomNoise": ("noise_seed",),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps"),
    "CFGGuider": ("cfg",),
    "FluxGuidance": ("guidance",),
    "ModelSamplingFlux": (None, None, "width", "height"),
    "PrimitiveString": ("value",),
    "PrimitiveStringMultiline": ("value",),
    "PrimitiveInt": ("value",),
}
"""What the values beside a node of ComfyUI's own mean, in the order in which a workflow lists them."""


def from_comfyui(texts: Mapping[str, str]) -> FoundSettings:
    """The settings of the graph in `prompt`, or else in `workflow`; raises NotUnderstood where there is no sampler."""
    problem = NotUnderstood("it holds no graph")
    for keyword, read in (("prompt", _run_graph), ("workflow", _drawn_graph)):
        if texts.get(keyword, "").strip():
            try:
                return _from_graph(Graph(read(read_object(texts[keyword]))))
            except NotUnderstood as error:
                problem = error
    raise problem


def _run_graph(found: Mapping[str, Any]) -> dict[str, Node]:
    nodes = cast("dict[str, Any]", found.get("prompt") if isinstance(found.get("prompt"), dict) else found)
    return {
        str(name): cast("Node", node)
        for name, node in nodes.items()
        if isinstance(node, dict) and isinstance(cast("Node", node).get("inputs"), dict)
    }


def _drawn_graph(found: Mapping[str, Any]) -> dict[str, Node]:
    """A workflow in the shape of a graph that was run: links by name, widgets of known nodes by their place."""
    ends: dict[int, list[Any]] = {}
    for each in _listed(found.get("links")):
        link = _listed(each)
        if len(link) >= 3 and isinstance(link[0], int):
            ends[link[0]] = [str(link[1]), link[2]]
    nodes: dict[str, Node] = {}
    for each in _listed(found.get("nodes")):
        if not isinstance(each, dict):
            continue
        node = cast("dict[str, Any]", each)
        kind = str(node.get("type", ""))
        values = _listed(node.get("widgets_values"))
        inputs: dict[str, Any] = {
            name: value for name, value in zip(_WIDGETS.get(kind, ()), values, strict=False) if name is not None
        }
        for each_slot in _listed(node.get("inputs")):
            slot = cast("dict[str, Any]", each_slot) if isinstance(each_slot, dict) else {}
            if isinstance(slot.get("link"), int) and slot["link"] in ends:
                inputs[str(slot.get("name"))] = ends[slot["link"]]
        if node.get("mode", 0) in (0, None):  # The others are muted or bypassed.
            nodes[str(node.get("id"))] = {"class_type": kind, "inputs": inputs}
    return nodes


class Graph:
    """Nodes by name, and ways to walk them that end whatever the links are."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        if len(nodes) > MAX_NODES:
            raise NotUnderstood(f"its graph has {len(nodes):,} nodes")
        self.nodes = nodes

    def linked(self, node: Node, name: str) -> Node | None:
        """The node that an input is linked to."""
        value = node["inputs"].get(name)
        return self.nodes.get(str(value[0])) if _is_link(value) else None

    def above(self, node: Node | None, *, through: tuple[str, ...] = ()) -> Iterator[Node]:
        """A node and all that lead to it, nearest first, each once; `through` names the inputs to follow, else all."""
        waiting, seen = [node] if node else [], set[int]()
        while waiting and len(seen) < MAX_STEPS:
            here = waiting.pop(0)
            if id(here) in seen:
                continue
            seen.add(id(here))
            yield here
            names = [name for name in here["inputs"] if not through or name.startswith(through)]
            waiting += [node for name in names if (node := self.linked(here, name))]

    def value(self, node: Node | None, *names: str) -> Any:
        """The first of these inputs that is there, followed through links to where it was written."""
        for name in names:
            here, key = node, name
            for _ in range(20):
                if here is None or key not in here["inputs"]:
                    break
                value = here["inputs"][key]
                if not _is_link(value):
                    return value
                here = self.linked(here, key)
                known = ("value", "seed", "int", "text", "string", "number", "float", "Value", "noise_seed", name)
                key = next((each for each in known if here and each in here["inputs"]), "")
        return None

    def text(self, node: Node | None) -> str:
        """The texts that lead to a conditioning, in order, with a comma between those of several nodes."""
        texts: list[str] = []
        for here in self.above(node, through=("conditioning", "positive", "cond", "text_encode", "guider")):
            if here.get("class_type") == "ConditioningZeroOut":
                return ""
            found = [self.value(here, name) for name in _TEXT_INPUTS if name in here["inputs"]]
            texts += dict.fromkeys(text.strip() for text in found if isinstance(text, str) and text.strip())
        return ", ".join(dict.fromkeys(texts))


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The nodes that say what a sampler does; for the plain sampler, all but its conditionings are itself."""

    positive: Node | None
    negative: Node | None
    noise: Node | None
    guider: Node | None
    sampler: Node | None
    sigmas: Node | None


def _from_graph(graph: Graph) -> FoundSettings:
    samplers = [node for node in graph.nodes.values() if _is_sampler(node)]
    if not samplers:
        raise NotUnderstood("no node of its graph is a sampler with a prompt")
    # The pass that began from nothing: a later one enlarges or mends.
    firsts = [node for node in samplers[:MAX_SAMPLERS] if not _follows_sampler(graph, node)]
    sampler = (firsts or samplers)[0]
    parts = _parts(graph, sampler)
    latent = graph.linked(sampler, "latent_image") or graph.linked(sampler, "latent")
    canvas = next(
        (node for node in graph.above(latent) if "width" in node["inputs"] and "height" in node["inputs"]), None
    )
    flux = next((node for node in graph.above(parts.positive) if node.get("class_type") == "FluxGuidance"), None)
    chain = list(graph.above(graph.linked(sampler, "model") or graph.linked(parts.guider or sampler, "model")))
    model = next((name for node in chain if (name := graph.value(node, "ckpt_name", "unet_name", "model_name"))), None)
    left_out = [f"{len(samplers) - 1} other samplers of its graph are not carried over"] if len(samplers) > 1 else []
    if any("control_net" in node["inputs"] for node in graph.above(parts.positive)):
        left_out.append("ControlNet is not carried over")
    if canvas is None and any("pixels" in node["inputs"] for node in graph.above(latent)):
        left_out.append("the picture that it began from is not carried over")
    denoise = decimal(graph.value(sampler, "denoise"))
    if denoise is not None and denoise < 1:
        left_out.append(f"denoise {denoise:g} is not carried over")
    guidance = graph.value(flux, "guidance") if flux else graph.value(parts.guider, "cfg")
    return FoundSettings(
        tool="ComfyUI",
        prompt=_with_literal_squares(graph.text(parts.positive)),
        negative=_with_literal_squares(graph.text(parts.negative)),
        width=whole(graph.value(canvas, "width")),
        height=whole(graph.value(canvas, "height")),
        seed=whole(graph.value(parts.noise, "seed", "noise_seed")),
        steps=whole(graph.value(parts.sigmas, "steps")),
        guidance=decimal(guidance),
        sampler=_words(graph.value(parts.sampler, "sampler_name")),
        schedule=_words(graph.value(parts.sigmas, "scheduler")),
        model=bare(model) if isinstance(model, str) else None,
        adapters=tuple(_adapters(graph, chain)),
        left_out=tuple(left_out),
    )


def _parts(graph: Graph, sampler: Node) -> _Parts:
    guider = graph.linked(sampler, "guider")
    conditioned = guider or sampler
    return _Parts(
        positive=graph.linked(conditioned, "positive") or graph.linked(conditioned, "conditioning"),
        negative=graph.linked(conditioned, "negative"),
        noise=graph.linked(sampler, "noise") or sampler,
        guider=conditioned,
        sampler=graph.linked(sampler, "sampler") or sampler,
        sigmas=graph.linked(sampler, "sigmas") or sampler,
    )


def _is_sampler(node: Node) -> bool:
    inputs = node["inputs"]
    return ("latent_image" in inputs or "latent" in inputs) and (
        ("positive" in inputs and ("seed" in inputs or "noise_seed" in inputs or "sampler" in inputs))
        or ("guider" in inputs and "sampler" in inputs)
    )


def _follows_sampler(graph: Graph, node: Node) -> bool:
    latent = graph.linked(node, "latent_image") or graph.linked(node, "latent")
    return any(_is_sampler(above) for above in graph.above(latent))


def _adapters(graph: Graph, chain: list[Node]) -> Iterator[FoundAdapter]:
    """The LoRAs between the sampler and its model, the one nearest to the model first."""
    for node in reversed(chain):
        name = graph.value(node, "lora_name")
        if isinstance(name, str) and name:
            weight = decimal(graph.value(node, "strength_model", "strength"))
            yield FoundAdapter(name=bare(name), weight=1.0 if weight is None else weight)


def _with_literal_squares(text: str) -> str:
    r"""ComfyUI knows `(word:1.3)` and `\(`, but to it square brackets are text."""
    return re.sub(r"(?<!\\)([\[\]])", r"\\\1", text)


def _is_link(value: object) -> bool:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != 2:
        return False
    name, slot = cast("list[Any]", value)
    return isinstance(name, str | int) and isinstance(slot, int)


def _words(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _listed(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
