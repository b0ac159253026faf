"""What is deployed: the CDK app, one stack, one construct per concern."""
