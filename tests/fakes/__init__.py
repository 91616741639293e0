"""A world that behaves, shared by the tests: values over mocks."""

from tests.fakes.clock import BEGIN, FakeClock
from tests.fakes.line import Killed
from tests.fakes.world import DATABASE, FakeWorld, ProcessClock, v41_serves

__all__ = ["BEGIN", "DATABASE", "FakeClock", "FakeWorld", "Killed", "ProcessClock", "v41_serves"]
