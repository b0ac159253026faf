"""Pure decisions, without boto3, environment or clock."""
