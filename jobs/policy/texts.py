"""Makes any text one that files and servers take.

Pure.
"""


def storable(text: str) -> str:
    """Return ``text`` with halves of characters spelt out.

    File names in errors have them, and so has what JavaScript has cut off in the middle of a character.
    """
    return text.encode(errors="backslashreplace").decode()
