"""What strangers and servers say, for a terminal."""

import json


def printable(text: str) -> str:
    """It moves no cursor and turns no line around: such characters show themselves."""
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1] for character in text
    )
