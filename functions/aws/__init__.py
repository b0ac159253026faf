"""Thin boto3: one module per thing that the service keeps in AWS."""
