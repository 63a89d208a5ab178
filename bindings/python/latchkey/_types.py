"""Encoders of the standard library's types of dates and times."""

import datetime
import zoneinfo
from typing import Any

from ._core import register


def _zone(zone: datetime.tzinfo | None) -> Any:
    """None, (seconds, microseconds, name) of a fixed offset, or the key of a zone."""
    if zone is None:
        return None
    if type(zone) is datetime.timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        plain = datetime.timezone(offset).tzname(None)
        return (_delta(offset), None if name == plain else name)
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return zone.key
    raise TypeError(f"a time zone of type {type(zone).__name__} cannot be encoded")


def _zone_back(plain: Any) -> datetime.tzinfo | None:
    if plain is None:
        return None
    if isinstance(plain, str):
        return zoneinfo.ZoneInfo(plain)
    offset, name = plain
    if name is None:
        return datetime.timezone(_delta_back(offset))
    return datetime.timezone(_delta_back(offset), name)


def _date(day: datetime.date) -> int:
    return day.toordinal()


def _time(time: datetime.time) -> Any:
    return (time.hour, time.minute, time.second, time.microsecond, _zone(time.tzinfo), time.fold)


def _time_back(plain: Any) -> datetime.time:
    hour, minute, second, microsecond, zone, fold = plain
    return datetime.time(hour, minute, second, microsecond, _zone_back(zone), fold=fold)


def _datetime(moment: datetime.datetime) -> Any:
    return (moment.year, moment.month, moment.day, *_time(moment.timetz()))


def _datetime_back(plain: Any) -> datetime.datetime:
    year, month, day, *time = plain
    return datetime.datetime.combine(datetime.date(year, month, day), _time_back(time))


def _delta(delta: datetime.timedelta) -> Any:
    return (delta.days, delta.seconds, delta.microseconds)


def _delta_back(plain: Any) -> datetime.timedelta:
    return datetime.timedelta(*plain)


register(datetime.date, "date", _date, datetime.date.fromordinal)
register(datetime.time, "time", _time, _time_back)
register(datetime.datetime, "datetime", _datetime, _datetime_back)
register(datetime.timedelta, "timedelta", _delta, _delta_back)
