"""Looks up time zones in the data of the host, or of the package `tzdata` for zones that the host does not have.

A locked sandbox worker can open no file, so the data of all zones are read when this module is imported.
"""

from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from importlib import resources
from io import BytesIO
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_PARSED = 64  # zones
_FIRST, _LAST = -62_135_510_400_000, 253_402_214_400_000  # milliseconds since 1970, a day within Python's calendar


def _read() -> dict[str, bytes]:
    """Return the data of each zone by the zone's name."""
    packaged = resources.files("tzdata")
    names = (packaged / "zones").read_text("utf-8").split()
    return {name: _file(name) or (packaged / "zoneinfo" / name).read_bytes() for name in names}


def _file(name: str) -> bytes | None:
    paths = (Path(folder, name) for folder in TZPATH)
    return next((path.read_bytes() for path in paths if path.is_file()), None)


_DATA = _read()
_NAMES = {name.lower(): name for name in _DATA}
_parsed: OrderedDict[str, ZoneInfo] = OrderedDict()


def zone_name(name: str) -> str | None:
    """Return the zone's name in its usual spelling, or None if there is no such zone. Upper and lower case in `name`
    count as the same.
    """
    return _NAMES.get(name.lower())


def zone_offset(name: str, milliseconds: str) -> str:
    """Return, as text, how many seconds the clocks of a zone are ahead of UTC at a time, which is given in milliseconds
    since 1970.

    For a time outside Python's calendar, the offset at the nearest end of the calendar is returned.
    """
    time = min(max(int(milliseconds), _FIRST), _LAST)
    offset = (_EPOCH + timedelta(milliseconds=time)).astimezone(_zone(name)).utcoffset() or timedelta()
    return str(int(offset.total_seconds()))


def _zone(name: str) -> ZoneInfo:
    if name not in _parsed:
        _parsed[name] = ZoneInfo.from_file(BytesIO(_DATA[name]), name)
        if len(_parsed) > _MOST_PARSED:
            _parsed.popitem(last=False)
    return _parsed[name]


zone_offset("America/New_York", "0")  # loads what the first look-up loads
