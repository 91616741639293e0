"""The ports on AWS. The only importer of boto3; it costs half a second, so `session` imports it at the first call."""
