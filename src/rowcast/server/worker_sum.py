"""Many processes shown as one: readiness by component, metrics added up."""

from collections.abc import Iterable, Sequence

from rowcast.observe.health import Component, Readiness, worst

_RANK = {"ok": 0, "degraded": 1, "down": 2}


def sum_readiness(readings: Sequence[Readiness]) -> Readiness:
    """Give one readiness for several processes: each component as the process says for which it is worst."""
    found: dict[str, Component] = {}
    for component in (component for reading in readings for component in reading.components):
        known = found.get(component.name)
        if known is None or _RANK[component.status] > _RANK[known.status]:
            found[component.name] = component
    components = tuple(found[name] for name in sorted(found))
    status = worst(components)
    return Readiness(is_ready=status != "down", status=status, components=components)


def sum_metrics(expositions: Iterable[bytes]) -> bytes:
    """Give one exposition in Prometheus' text form: values of the same series added, times the earliest."""
    about: dict[str, list[str]] = {}
    families: dict[str, dict[str, float]] = {}
    for exposition in expositions:
        family = ""
        own_about: dict[str, list[str]] = {}
        for line in exposition.decode().splitlines():
            if line.startswith("# "):
                family = line.split(" ", 3)[2]
                own_about.setdefault(family, []).append(line)
            elif line:
                _add(families.setdefault(family, {}), line)
        about = {**own_about, **about}
    return "".join(
        "\n".join([*about.get(family, ()), *(f"{name} {value!r}" for name, value in series.items())]) + "\n"
        for family, series in families.items()
        if series
    ).encode()


def _add(series: dict[str, float], line: str) -> None:
    name, _, text = line.rpartition(" ")
    value = float(text)
    if name not in series:
        series[name] = value
    elif name.partition("{")[0].endswith(("_created", "_start_time_seconds")):
        series[name] = min(series[name], value)
    else:
        series[name] += value
