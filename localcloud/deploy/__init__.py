"""From the CDK app to a stack in the local cloud."""
