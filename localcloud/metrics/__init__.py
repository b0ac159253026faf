"""The metrics that AWS's services put into CloudWatch by themselves, and the watch that evaluates alarms on them."""
