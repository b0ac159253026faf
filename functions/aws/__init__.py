"""Thin boto3: one module for each resource that the service keeps in AWS."""
