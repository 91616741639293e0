# Bucket, key and region come from rmu: a backend block can read no variable.
terraform {
  backend "s3" {
    use_lockfile = true
    encrypt      = true
  }
}
