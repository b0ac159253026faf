"""The protocol, step by step: intake, dispatching, collecting, sweeping. Order of writes is what keeps uploads safe."""
