"""The outside world as small programs: each provider's API as far as we use it, with its state in plain sight."""
