"""Schedules of the functions' own code, one AWS call at a time: invocations overtake and die, events repeat."""
