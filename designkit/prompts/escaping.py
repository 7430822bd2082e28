r"""Writing any text so that the grammar of prompts reads it literally."""

from __future__ import annotations

import re

_SPECIAL = re.compile(
    r"""
      \\(?=[{}|$%\#_:\\])     # a backslash that would escape what follows
    | [{}]
    | (?<=_)_ | _(?=_)        # two underscores would begin a wildcard
    | (?<![^\n])\#(?=[ \t\n]|\Z)   # a comment
    """,
    re.VERBOSE,
)


def escape_template(text: str) -> str:
    r"""The text as it must stand in a prompt file to be drawn as it is: `{50% off}` becomes `\{50% off\}`.

    What is drawn has its ends trimmed all the same. Weights of words, `(word:1.3)`, are no part of the template's
    grammar and stay what they are; `designkit.generators.strength.escape_strength` makes those literal.
    """
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)
