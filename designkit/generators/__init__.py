"""One protocol for everything that draws, and one file for each family of models."""

from __future__ import annotations

from designkit.generators.base import Generator, ModelCard, Precision

__all__ = ["Generator", "ModelCard", "Precision", "open_generator"]


def open_generator(
    name: str = "starter",
    *,
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    device: str | None = None,
    variant: str | None = None,
) -> Generator:
    """Open the model that `name` means, ready to draw.

    `name` is `starter`, `starter-gan` or `starter-vae`, `draft` (instant placeholders), a folder in the diffusers
    layout or our own, a `.safetensors` checkpoint, or a Hub id with an optional `@revision`, which is downloaded
    if it is not on this disk.
    `precision`, `batch_size`, `threads` and `device` are chosen for this machine unless given; to repeat a run
    byte for byte, give those in the `settings` that it recorded. `variant` names a flavour of the weights
    ("fp16"). Raises ModelRefused for a missing, damaged or unsafe model, InputRefused for a precision that the
    device cannot do.

        generator = open_generator("starter")
        for image in generator.generate(requests):
            image.save("pictures")
    """
    from designkit.generators.catalog import find_card

    card = find_card(name)
    if card.family == "draft":
        from designkit.generators.draft import DraftGenerator

        return DraftGenerator(card)
    if card.family == "gan":
        from designkit.generators.gan import open_gan

        return open_gan(card, precision=precision, batch_size=batch_size, threads=threads, device=device)
    if card.family == "vae":
        from designkit.generators.vae import open_vae

        return open_vae(card, precision=precision, batch_size=batch_size, threads=threads, device=device)
    from designkit.generators.diffusion import open_diffusion

    return open_diffusion(
        card, precision=precision, batch_size=batch_size, threads=threads, device=device, variant=variant
    )
