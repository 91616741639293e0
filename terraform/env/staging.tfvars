# Staging: production's shape in production's sizes, so that what is measured here
# means something there. Only its protection against deletion is off.
ami_id              = ""
deletion_protection = false
front_door          = "https://staging.ratemyunit.com"
certificate_arn     = ""

host = {
  instance_type = "t3.small"
}

database = {
  size = {
    instance_class = "db.t3.micro"
  }
}

alarms = {
  emails = []
}

edge = {
  header_secrets = ["/rmu/staging/edge/header_secret"]
}
