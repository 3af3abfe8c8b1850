"""A transport from `kit.http` to the fakes, without sockets."""

from hairtrigger.conformance.internet import Internet, Reply

__all__ = ["Internet", "Reply"]
