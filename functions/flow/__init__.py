"""The protocol, step by step: ingesting, dispatching, collecting, sweeping. The order of writes keeps uploads safe."""
