"""The program on a host: one request in, one answer out. It owns the slots, the live map and the boot.

It runs on the Python of Debian 13 with the standard library alone; boto3 is imported inside the functions that
need AWS. It travels as one zip archive (`ratemyunit_ops.render.host_program`), so modules here import each other
by relative names and read no file beside themselves.
"""
