# Where the hosts' CPU is held once their credits are spent: the baseline of their type, in
# percent, by AWS's table (AWSEC2/latest/UserGuide/burstable-credits-baseline-concepts.html).
# Module web lets them wait for credits, not buy them. A T3 is born without any.
locals {
  _type     = split(".", var.instance_type)
  _bursts   = contains(["t3", "t3a", "t4g"], local._type[0])
  _baseline = local._bursts ? lookup({ nano = 5, micro = 10, small = 20, medium = 20, large = 30 }, local._type[1], 40) : 100
}
