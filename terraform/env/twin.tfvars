# The local AWS: the same stack, smaller, quicker to alarm, and free to be deleted.
ami_id              = "ami-12c6146b"
cidr                = "10.77.0.0/16"
deletion_protection = false
s3_path_style       = true

host = {
  instance_type = "t3.micro"
}

alarms = {
  emails          = ["oncall@example.org"]
  liveness_period = 10
  oldest_job_s    = 30
  period          = 10
  silence_period  = 10
}

# Nothing outside the machine can reach it; private ranges are all there is.
edge = {
  allowed_ranges = ["10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
}

# A repository that nobody has: CI's role stands as it would, for a job to become.
github = {
  environment   = "twin"
  owner         = "example"
  owner_id      = "1001"
  repository    = "ratemyunit"
  repository_id = "2002"
}
