"""An AWS in memory: DynamoDB, S3, SQS, SageMaker and KMS with exact conditional writes, under boto3's method names.

Every request is checked against botocore's shapes, so a request that passes here is well formed for AWS.
"""
