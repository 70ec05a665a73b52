"""The runtime: how a stage is fed, its effects committed exactly once, and its assignment handed over."""
