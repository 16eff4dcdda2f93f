"""pytest: kernels checked against hardware, and a report of them.

    @pytest.mark.lostbits(machine="hopper:wgmma:e4m3:f32", recipe={"promote": 4})
    def test_my_gemm(matches_hardware):
        matches_hardware(my_gemm(a, b), a, b)

The marker gives the arguments that `matches_hardware` has no others for. `pytest --lostbits-report
FILE` writes every check, passed or not, as JSON:

    {"schema_version": 1, "lostbits": "0.1.0", "checks": [{"test", "outcome", "machine", "recipe",
     "outputs", "different", "first", "worst", "fault", "matching_recipe", "explain",
     "explain_python"}]}

(the last six where outputs differ). Checks of `assert_matches_hardware` without the fixture are in
it where they fail. Works under pytest-xdist.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import __version__, testing

_KEY = "lostbits"  # of a test's user_properties, which travel with its report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("lostbits").addoption(
        "--lostbits-report", metavar="FILE", help="write what was checked against hardware, as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "lostbits(machine, recipe=None, **options): what `matches_hardware` compares with",
    )
    path = config.getoption("--lostbits-report")
    if path and not hasattr(config, "workerinput"):  # xdist: the controller writes
        if not pathlib.Path(path).absolute().parent.is_dir():
            raise pytest.UsageError(f"--lostbits-report: expected a file in a folder, found {path}")
        config.pluginmanager.register(_Reporter(pathlib.Path(path)), "lostbits-reporter")


@pytest.fixture
def matches_hardware(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`lostbits.testing.assert_matches_hardware` with the arguments of the test's marker."""
    marker = request.node.get_closest_marker("lostbits")
    defaults = {} if marker is None else dict(marker.kwargs)
    if marker is not None and marker.args:
        defaults["machine"] = marker.args[0]

    def check(out: Any, a: Any, b: Any, c: Any = None, **options: Any) -> None:
        arguments = {**defaults, **options}
        if "machine" not in arguments:
            raise ValueError("machine: expected one in the call or in @pytest.mark.lostbits")
        result = testing.check_against_hardware(out, a, b, c, **arguments)
        if result["different"]:
            raise testing.HardwareMismatch(testing.message_of(result), result)
        request.node.user_properties.append((_KEY, result))

    return check


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    if call.excinfo is not None and isinstance(call.excinfo.value, testing.HardwareMismatch):
        item.user_properties.append((_KEY, call.excinfo.value.result))


class _Reporter:
    def __init__(self, path: pathlib.Path):
        self._path = path.absolute()
        self._checks: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._checks.extend(_checks_of(report))

    def pytest_sessionfinish(self) -> None:
        body = {"schema_version": 1, "lostbits": __version__, "checks": self._checks}
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        beside.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
        beside.replace(self._path)  # whole or not at all


def _checks_of(report: pytest.TestReport) -> Iterator[dict[str, Any]]:
    for key, result in report.user_properties:
        if key == _KEY and isinstance(result, dict):
            outcome = "failed" if result["different"] else "passed"
            yield {"test": report.nodeid, "outcome": outcome, **result}
