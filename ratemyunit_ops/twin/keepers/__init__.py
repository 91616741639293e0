"""The keepers: one small loop per organ that reads what the record wants, makes it real and reports what it saw.

They keep nothing that the record and the world do not tell: killed and started again, they go on where they were.
"""
