# Production. ami_id is pinned here once somebody has looked it up in the account:
# plan refuses an empty one and prints the command.
ami_id = ""

host = {
  instance_type = "t3.small"
}

database = {
  size = {
    instance_class = "db.t3.micro"
  }
}

# An address that pends is no address: `rmu doctor` refuses until it is confirmed.
alarms = {
  emails = []
}

# Cloudflare's ranges are the default. Every Cloudflare customer comes from them, so
# requests must carry a header too, whose value is this SecureString's.
edge = {
  header_secrets = ["/rmu/production/edge/header_secret"]
}
