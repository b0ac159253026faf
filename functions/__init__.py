"""The code in Lambda: a module per function, over ``flow`` (the protocol), ``aws`` (boto3), ``domain`` (decisions)."""
