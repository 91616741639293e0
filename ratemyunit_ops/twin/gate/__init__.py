"""The gate: moto's server, in one process with the few answers it lacks.

moto is the record of what was asked. Each file here mends one service by adding methods to moto's own response
class, so that moto parses and serialises and a mend is deleted when moto has the action. What machines do is not
decided here: the keepers read `/twin/wanted` and report to `/twin/seen`, the guest agents speak to `/twin-agent/`.
"""
