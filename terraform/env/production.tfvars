# Production. ami_id is pinned here once somebody has looked it up in the account:
# plan refuses an empty one and prints the command.
ami_id = ""

# What clients type, hence what the hosts' drop probe asks: the balancer itself lets
# only the edge in, and a probe that gets nowhere proves nothing.
front_door = "https://api.ratemyunit.com"

# The ACM certificate of that name in this region. Without one the balancer speaks
# plain HTTP, and the edge's header secret travels in the clear.
certificate_arn = ""

host = {
  instance_type = "t3.small"
}

database = {
  size = {
    instance_class = "db.t3.micro"
  }
}

# An address gets nothing until somebody clicks the link that AWS sends to it; after
# two days unclicked it is forgotten.
alarms = {
  emails = []
}

# Cloudflare's ranges are the default. Every Cloudflare customer comes from them, so
# requests must carry a header too, whose value is this SecureString's: rmu makes it at
# bootstrap; a request header rule at Cloudflare has to add it as X-Rmu-Edge.
edge = {
  header_secrets = ["/rmu/production/edge/header_secret"]
}
