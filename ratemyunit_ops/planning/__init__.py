"""THINK: (World, Settings, request) -> Plan. Pure: the same input gives the same plan."""
