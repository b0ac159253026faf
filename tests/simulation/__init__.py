"""Schedules of the functions' own code, one AWS call at a time: who runs next, who dies, what comes twice."""
