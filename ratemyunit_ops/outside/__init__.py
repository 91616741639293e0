"""The outside: the only importer of boto3, subprocess, sockets and time. Adapters of `ports`, nothing else."""
