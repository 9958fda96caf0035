"""The one exception whose message is meant for the user, and what others' exceptions say in one."""

from world_modality.redaction import redacted


class UserError(Exception):
    """Bad input or a broken precondition, told in one sentence: what is wrong, where, and what to do."""

    def __str__(self) -> str:
        """The sentence, without secrets of the environment that it may quote."""
        return redacted(super().__str__())


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 stage``, ``2 stages``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def in_one_line(error: BaseException | str) -> str:
    """What an error says, in one line and without its end: lists of tensors go on for pages."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:3]) or type(error).__name__
    return text if len(text) <= 400 else f"{text[:400]}..."
