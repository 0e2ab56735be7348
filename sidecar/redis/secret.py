"""A secret in a file of its own."""

from pathlib import Path


def read_secret(file: str) -> str:
    """Return the secret in a file, without its line break. Raises `ValueError` with the reason."""
    try:
        secret = Path(file).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except (OSError, ValueError) as exc:
        unreadable = "it is not UTF-8 text" if isinstance(exc, UnicodeDecodeError) else "this is not a file name"
        raise ValueError(f"cannot read {file}: {exc.strerror if isinstance(exc, OSError) else unreadable}") from None
    if not secret:
        raise ValueError(f"{file} is empty")  # an empty token would give access to everyone
    return secret
