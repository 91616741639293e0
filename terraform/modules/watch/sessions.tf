# How many sessions the database's class takes, and from how many on they are many.
#
# RDS lets a class have its memory / 9531392 of them, 5000 at most; of what memory is
# counted AWS says only that it is less. Found on instances: 198 of 2 GiB, 413 of 4, 856
# of 8 (gist.github.com/guizmaii/1cacffef793c2ba9645083c3e18b3d8c). This stays below
# each of them. A class whose size is not known here is large enough for 5000.
locals {
  _class    = split(".", var.database_class)
  _gib      = lookup({ micro = 1, small = 2, medium = 4, large = 8, xlarge = 16, "2xlarge" = 32 }, local._class[2], 64)
  _memory   = local._gib * (startswith(local._class[1], "r") ? 2 : 1)
  _sessions = min(5000, floor((0.95 * local._memory - 0.235) * pow(1024, 3) / 9531392))
  _many     = coalesce(var.alarms.connections, floor(0.75 * local._sessions))
}
