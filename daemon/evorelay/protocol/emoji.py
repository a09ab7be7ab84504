"""What can be a reaction: exactly one emoji, which may be a dozen code points (Unicode TR 51)."""

_JOINER = "\u200d"
_KEYCAP = "\u20e3"
_LONGEST = 32


def is_one_emoji(text: str) -> bool:
    """Whether a person would see one emoji. Letters and digits alone are none."""
    if not text or len(text) > _LONGEST:
        return False
    if text[-1] == _KEYCAP:
        return text[0] in "0123456789#*" and text[1:-1] in ("", "\ufe0f")
    bases = [
        character
        for index, character in enumerate(text)
        if not _is_part(character) and (index == 0 or text[index - 1] != _JOINER)
    ]
    if any(
        character.isalnum() or character.isspace() or ord(character) < 0xA9 for character in text
    ):
        return False
    is_flag = len(bases) == 2 and all(_is_flag_letter(base) for base in bases)
    return len(bases) == 1 or is_flag


def _is_part(character: str) -> bool:
    """A variation selector, a skin tone, a joiner, or a tag of a flag."""
    code = ord(character)
    return (
        character in (_JOINER, _KEYCAP)
        or 0xFE00 <= code <= 0xFE0F
        or 0x1F3FB <= code <= 0x1F3FF
        or 0xE0020 <= code <= 0xE007F
    )


def _is_flag_letter(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF
