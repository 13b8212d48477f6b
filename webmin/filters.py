"""How templates print values: instants, durations, sizes, text from scripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

_KIB = 1024
_TEN_SECONDS = 10
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_VISIBLE_CONTROLS = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"} | {0x7F: 0x2421}


def instant(value: datetime | None, style: str = "full", absent: str = "–") -> Markup:
    """Return a ``<time>`` element in UTC, which a script turns to the reader's zone.

    :param style: ``full``, ``relative`` ("5 min ago", kept current), ``due`` ("in 5 min", "due now" once past) or
        ``clock`` (time of day with milliseconds).
    :param absent: what stands for None.
    """
    if value is None:
        return Markup('<span class="text-secondary">{}</span>').format(absent)
    moment = value.astimezone(UTC)
    shown = (
        f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}" if style == "clock" else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    )
    return Markup('<time datetime="{}" title="{}" data-behaviour="local-time" data-style="{}"{}>{}</time>').format(
        f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z",
        f"{moment:%Y-%m-%d %H:%M:%S} UTC",
        style,
        Markup(' data-past="due now"') if style == "due" else "",
        shown,
    )


def duration(value: timedelta | None, absent: str = "–") -> str:
    """Return a length of time as a person says it.

    >>> [duration(timedelta(seconds=s)) for s in (0.0004, 0.25, 9.04, 75, 3600, 90_000)]
    ['under 1 ms', '250 ms', '9.0 s', '1 min 15 s', '1 h', '1 d 1 h']
    """
    if value is None:
        return absent
    seconds = value.total_seconds()
    sign, seconds = ("−" if seconds < 0 else ""), abs(seconds)
    if seconds < 0.001:  # noqa: PLR2004 - one millisecond
        return "under 1 ms"
    if seconds < 1:
        return f"{sign}{round(seconds * 1000)} ms"
    if seconds < _TEN_SECONDS:
        return f"{sign}{seconds:.1f} s"
    whole = round(seconds)
    parts = [
        (whole // _DAY, "d"),
        (whole % _DAY // _HOUR, "h"),
        (whole % _HOUR // _MINUTE, "min"),
        (whole % _MINUTE, "s"),
    ]
    while parts[0][0] == 0:
        parts.pop(0)
    return sign + " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def size(count: int) -> str:
    """Return a number of bytes with a unit.

    >>> [size(n) for n in (1, 900, 1536, 3 * 1024 * 1024)]
    ['1 byte', '900 bytes', '1.5 KiB', '3.0 MiB']
    """
    if count < _KIB:
        return "1 byte" if count == 1 else f"{count} bytes"
    if count < _KIB * _KIB:
        return f"{count / _KIB:.1f} KiB"
    return f"{count / _KIB / _KIB:.1f} MiB"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return the number with its noun.

    >>> plural(1, "change"), plural(2, "change"), plural(0, "entry", "entries")
    ('1 change', '2 changes', '0 entries')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def visible(text: str) -> str:
    r"""Return ``text`` with its control characters as pictures, so that a log can hide nothing.

    >>> visible("a\x1b[31mb\r\n")
    'a␛[31mb\n'
    """
    return text.replace("\r\n", "\n").translate(_VISIBLE_CONTROLS)


FILTERS = {"instant": instant, "duration": duration, "size": size, "plural": plural, "visible": visible}
